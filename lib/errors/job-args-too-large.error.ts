import { AwaError } from './awa-error.js';

/**
 * A job's arguments are larger than the limit. Nothing has been written.
 *
 * @publicApi
 */
export class JobArgsTooLargeError extends AwaError {
  /** The kind whose arguments were refused, when known. */
  readonly kind: string | undefined;
  /** Size of the arguments as UTF-8 JSON in bytes, or a lower bound: counting stops past the limit. */
  readonly bytes: number;
  /** The limit in bytes. */
  readonly maxBytes: number;

  static {
    this.prototype.name = 'JobArgsTooLargeError';
  }

  constructor(bytes: number, maxBytes: number, kind?: string) {
    const of = kind === undefined ? 'The job arguments' : `The arguments of job kind "${kind}"`;
    super(
      'AWA_ARGS_TOO_LARGE',
      `${of} take at least ${bytes} bytes as JSON, and the limit is ${maxBytes}: ` +
        'store the data elsewhere and pass a reference to it, or raise the limit.',
    );
    this.kind = kind;
    this.bytes = bytes;
    this.maxBytes = maxBytes;
  }
}
