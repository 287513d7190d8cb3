/**
 * Where a job is in its life. `docs/lifecycle.md` has the transitions.
 *
 * @publicApi
 */
export type JobState =
  'scheduled' | 'available' | 'running' | 'retryable' | 'completed' | 'failed' | 'cancelled';

/** All of them, in the order of a job's life. @publicApi */
export const JOB_STATES: readonly JobState[] = [
  'scheduled',
  'available',
  'running',
  'retryable',
  'completed',
  'failed',
  'cancelled',
];
