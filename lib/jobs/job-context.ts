/**
 * The attempt that a handler is working on.
 *
 * @publicApi
 */
export interface JobContext {
  /**
   * Aborted when the work should stop: the job was cancelled, ran out of time or was taken over by another process,
   * or the application is shutting down. Pass it on to whatever can be interrupted.
   */
  readonly signal: AbortSignal;
  /** Same as `job.id`. */
  readonly jobId: string;
  /** Same as `job.attempt`. */
  readonly attempt: number;
  /** Same as `job.runLease`. */
  readonly runLease: number;
}
