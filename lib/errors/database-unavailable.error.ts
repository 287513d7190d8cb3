import { AwaError } from './awa-error.js';

/**
 * Postgres could not be reached, or the connection broke. Whether a write that was under way has been
 * committed is not known: enqueue with a unique key where a repetition would hurt, then try again.
 *
 * @publicApi
 */
export class DatabaseUnavailableError extends AwaError {
  /** What was being done, e.g. `enqueue`. */
  readonly operation: string;

  static {
    this.prototype.name = 'DatabaseUnavailableError';
  }

  /** @param options pass the driver's error as `cause` */
  constructor(operation: string, options?: ErrorOptions) {
    super(
      'AWA_DATABASE_UNAVAILABLE',
      `Postgres could not be reached during "${operation}": check that it runs and accepts connections, then try again.`,
      options,
    );
    this.operation = operation;
  }
}
