/**
 * A slot of a hot queue that a process holds. The epoch grows whenever the slot changes hands.
 *
 * @publicApi
 */
export interface QueueClaimerLease {
  readonly slot: number;
  readonly epoch: number;
}

/** A queue, its settings, and who claims from it. @publicApi */
export interface QueueInfo {
  readonly name: string;
  readonly createdAt: Date;
  /** Undefined: it is not paused. */
  readonly pausedAt: Date | undefined;
  readonly pauseReason: string | undefined;
  readonly pausedBy: string | undefined;
  /** Most processes that claim from it at a time while it is hot. */
  readonly maxClaimers: number;
  /** How many do now. */
  readonly claimerTarget: number;
  /** Whether it is claimed from so often that the number of claimers is limited. */
  readonly isHot: boolean;
  readonly claimers: readonly QueueClaimerLease[];
}
