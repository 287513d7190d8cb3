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
  /** Milliseconds of waiting that make a job more urgent by one priority; 0: it never becomes so. */
  readonly aging: number;
  /** Enqueues go to so many shards. */
  readonly shards: number;
  /** Most processes that claim from it at a time while it is hot. */
  readonly maxClaimers: number;
  /** How many do now. */
  readonly claimerTarget: number;
  /** Whether it is claimed from so often that the number of claimers is limited. */
  readonly isHot: boolean;
  readonly claimers: readonly QueueClaimerLease[];
}
