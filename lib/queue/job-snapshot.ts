import { type Job, parsePayload } from '../jobs/index.js';
import type { JobPriority, JobProgress, JsonValue } from '../jobs/index.js';
import type { JobState } from '../storage/job-state.js';
import type { StoredJob } from '../storage/operations/stored-job.js';

/**
 * A job as it was when it was read. `args` are as they were enqueued, before the schema's transforms.
 *
 * @publicApi
 */
export interface JobSnapshot extends Job {
  readonly state: JobState;
  /** Whether it is held as a dead letter: its state is `failed`, and it can be retried. See {@link DeadLetterService}. */
  readonly deadLetter: boolean;
  /** When the newest attempt was claimed; undefined while the job waits. */
  readonly attemptedAt: Date | undefined;
  /** When the job ended; undefined while it has not. */
  readonly finalizedAt: Date | undefined;
  /** The newest, of the attempt that runs or of an earlier one; null of a completed job. */
  readonly progress: JobProgress | null;
  /** The newest, of the attempt that runs or of an earlier one; null of a completed job. */
  readonly checkpoint: JsonValue;
}

export function toSnapshot(stored: StoredJob): JobSnapshot {
  const { jobId, priority, argsJson, payloadJson, ...rest } = stored;
  return {
    ...rest,
    id: jobId,
    priority: priority as JobPriority,
    args: JSON.parse(argsJson) as unknown,
    ...parsePayload(payloadJson),
    // Earlier attempts may have left something with the body of the last one.
    ...(stored.state === 'completed' ? { progress: null, checkpoint: null } : {}),
  };
}
