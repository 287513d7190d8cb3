import type { EntityManager, QueryRunner } from 'typeorm';
import { JobTimeoutError } from '../errors/index.js';
import type { JobContext } from '../jobs/index.js';
import type { JobState } from '../storage/job-state.js';
import type { ClaimedJob } from '../storage/operations/claim-jobs.js';
import { AttemptState, type AttemptStateSink } from './attempt-state.js';

/** Why an attempt's signal was aborted: its process is to stop, and the job goes back untouched. */
export class ShutdownAbort extends Error {
  override readonly name = 'AbortError';

  constructor() {
    super('The application is shutting down: the job is handed back.');
  }
}

/** Why an attempt's signal was aborted: somebody cancelled the job. */
export class CancelledAbort extends Error {
  override readonly name = 'AbortError';

  constructor() {
    super('The job was cancelled.');
  }
}

/** An attempt under way in this process. */
export class Attempt {
  readonly context: JobContext;
  readonly state: AttemptState;
  private readonly controller = new AbortController();
  /** Set when the attempt was handed back or lost while its handler still runs: what it returns does not matter. */
  private abandoned = false;
  /** Its end may be durable already, in a transaction of the application's of which we do not know how it ended. */
  isUnsure = false;
  /** The handler has called completeIn(). */
  isCompletedIn = false;
  /** The state of the job after the attempt, when both the handler's transaction and its end are known to be committed. */
  committedAs: JobState | undefined;

  constructor(
    readonly job: ClaimedJob,
    sink: AttemptStateSink,
    completeIn: (attempt: Attempt, transaction: EntityManager | QueryRunner) => Promise<void>,
  ) {
    const state = new AttemptState(job, sink, (error) => this.abort(error));
    this.state = state;
    // Functions of their own, so that a handler can take the context apart.
    this.context = Object.freeze({
      signal: this.controller.signal,
      jobId: job.jobId,
      attempt: job.attempt,
      runLease: job.runLease,
      setProgress: (percent: number, message?: string) => state.setProgress(percent, message),
      checkpoint: (data: unknown) => state.checkpoint(data),
      flush: () => state.flush(),
      completeIn: (transaction: EntityManager | QueryRunner) => completeIn(this, transaction),
    });
  }

  get isAbandoned(): boolean {
    return this.abandoned;
  }

  get isShuttingDown(): boolean {
    return this.controller.signal.reason instanceof ShutdownAbort;
  }

  /** Set when its signal was aborted because its time was over. */
  get timeoutError(): JobTimeoutError | undefined {
    const { reason } = this.controller.signal as { readonly reason: unknown };
    return reason instanceof JobTimeoutError ? reason : undefined;
  }

  abort(reason: Error): void {
    this.controller.abort(reason);
  }

  abandon(): void {
    this.abandoned = true;
  }
}
