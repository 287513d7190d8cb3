import { AwaError } from './awa-error.js';

/**
 * A unique key belongs to a job that a REPEATABLE READ or SERIALIZABLE transaction cannot see, because it was committed, or changed,
 * after the transaction's snapshot. Nothing was enqueued, and the transaction is usable: go on without the job, which is there
 * already, or run the transaction again. Never thrown under READ COMMITTED.
 *
 * @publicApi
 */
export class UniqueConflictError extends AwaError {
  /** The kind of the jobs that were to be enqueued. */
  readonly kind: string;

  static {
    this.prototype.name = 'UniqueConflictError';
  }

  constructor(kind: string, options?: ErrorOptions) {
    super(
      'AWA_UNIQUE_CONFLICT',
      `A unique key of job kind "${kind}" belongs to a job that is newer than this transaction's snapshot, so its id cannot be told: go on without enqueuing, run the transaction again, or use READ COMMITTED.`,
      options,
    );
    this.kind = kind;
  }
}
