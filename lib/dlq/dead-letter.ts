import { type JobSnapshot, toSnapshot } from '../queue/job-snapshot.js';
import type { StoredDeadLetter } from '../storage/operations/dead-letters.js';

/**
 * A job that failed for good and is held until somebody decides about it.
 *
 * @publicApi
 */
export interface DeadLetter extends JobSnapshot {
  /**
   * Why it is one: `terminal_error` (the handler said `fail()`), `max_attempts_exhausted`, `invalid_args`, `worker_lost` (its
   * last attempt's process died), `timed_out` (its last attempt took too long), or what an operator wrote who moved it.
   */
  readonly reason: string;
  /** Since when. */
  readonly dlqAt: Date;
}

export function toDeadLetter({ reason, dlqAt, ...stored }: StoredDeadLetter): DeadLetter {
  return { ...toSnapshot(stored), reason, dlqAt };
}
