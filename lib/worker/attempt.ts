import type { EntityManager, QueryRunner } from 'typeorm';
import { JobTimeoutError } from '../errors/index.js';
import type { JobContext } from '../jobs/index.js';
import type { JobState } from '../storage/job-state.js';
import type { ClaimedJob } from '../storage/operations/claim-jobs.js';
import { AttemptContext } from './attempt-context.js';
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
  /** Made when somebody reads the signal. */
  private controller: AbortController | undefined;
  /** Why it was aborted; the first reason counts. */
  private abortReason: Error | undefined;
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
    this.state = new AttemptState(job, sink, (error) => this.abort(error));
    this.context = new AttemptContext(this, completeIn);
  }

  /** Aborted when the work should stop. */
  get signal(): AbortSignal {
    if (this.controller === undefined) {
      this.controller = new AbortController();
      if (this.abortReason !== undefined) this.controller.abort(this.abortReason);
    }
    return this.controller.signal;
  }

  get isAborted(): boolean {
    return this.abortReason !== undefined;
  }

  get isAbandoned(): boolean {
    return this.abandoned;
  }

  get isShuttingDown(): boolean {
    return this.abortReason instanceof ShutdownAbort;
  }

  /** Set when its signal was aborted because its time was over. */
  get timeoutError(): JobTimeoutError | undefined {
    return this.abortReason instanceof JobTimeoutError ? this.abortReason : undefined;
  }

  abort(reason: Error): void {
    if (this.abortReason !== undefined) return;
    this.abortReason = reason;
    this.controller?.abort(reason);
  }

  abandon(): void {
    this.abandoned = true;
  }
}
