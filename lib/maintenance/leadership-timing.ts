/** Times of an election, in milliseconds. */
export interface LeadershipTiming {
  /** The server ends the session of a leader that has said nothing for so long. */
  readonly leaseMs: number;
  /** A leader that has had nothing to do for so long says something all the same. */
  readonly keepAliveMs: number;
  /** How often the others try, on average. */
  readonly retryMs: number;
}

/**
 * As quick as the process's own heartbeats ask for, within bounds. By default a leader that stands still is replaced after 6 s and the
 * next try, in 8.5 s at most; one that dies after the next try alone.
 */
export function leadershipTiming(heartbeatStaleMs: number): LeadershipTiming {
  const leaseMs = Math.round(Math.min(Math.max(heartbeatStaleMs / 2, 1_000), 6_000));
  return {
    leaseMs,
    keepAliveMs: Math.round(leaseMs / 3),
    retryMs: Math.round(leaseMs / 3),
  };
}
