import { AwaError } from './awa-error.js';

/**
 * A write about an attempt was refused, because the attempt is over: it was rescued, cancelled, timed out
 * or has finished already, and the job may be running elsewhere under a newer `runLease`.
 *
 * @publicApi
 */
export class StaleAttemptError extends AwaError {
  /** The job, as a decimal string. */
  readonly jobId: string;
  /** The lease of the attempt that wrote too late. */
  readonly runLease: number;

  static {
    this.prototype.name = 'StaleAttemptError';
  }

  constructor(jobId: string, runLease: number, options?: ErrorOptions) {
    super(
      'AWA_STALE_ATTEMPT',
      `The attempt of job ${jobId} with run lease ${runLease} is over: stop working on it, its result is not kept.`,
      options,
    );
    this.jobId = jobId;
    this.runLease = runLease;
  }
}
