import { JobTimeoutError } from '../errors/index.js';
import type { JobContext } from '../jobs/index.js';
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

  constructor(
    readonly job: ClaimedJob,
    sink: AttemptStateSink,
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
