import { AwaError } from './awa-error.js';

/**
 * A job kind was named for which this process has no handler.
 *
 * @publicApi
 */
export class UnknownJobKindError extends AwaError {
  /** The kind that was asked for. */
  readonly kind: string;

  static {
    this.prototype.name = 'UnknownJobKindError';
  }

  constructor(kind: string) {
    super(
      'AWA_UNKNOWN_JOB_KIND',
      `No handler is registered for job kind "${kind}": add the class decorated with @JobHandler() for it ` +
        'to the providers of a module that this process imports.',
    );
    this.kind = kind;
  }
}
