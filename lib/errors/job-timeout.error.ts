import { AwaError } from './awa-error.js';

/**
 * An attempt took longer than the `timeout` of its job or queue. The reason of its `signal`; what the handler throws then is
 * kept as its cause.
 *
 * @publicApi
 */
export class JobTimeoutError extends AwaError {
  /** The time-out, in milliseconds. */
  readonly timeoutMs: number;

  static {
    this.prototype.name = 'JobTimeoutError';
  }

  constructor(timeoutMs: number, options?: ErrorOptions) {
    super('AWA_JOB_TIMEOUT', `The attempt did not end within its time-out of ${timeoutMs} ms.`, options);
    this.timeoutMs = timeoutMs;
  }
}
