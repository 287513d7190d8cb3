import { AwaError } from './awa-error.js';

/**
 * Something was asked for before the application had started, or after it had stopped.
 *
 * @publicApi
 */
export class NotStartedError extends AwaError {
  static {
    this.prototype.name = 'NotStartedError';
  }

  /** @param what the part that is not running, e.g. `the worker` */
  constructor(what: string) {
    super(
      'AWA_NOT_STARTED',
      `Cannot use ${what} now: call app.init() or app.listen() first, and do not use it after app.close().`,
    );
  }
}
