import { AwaError } from './awa-error.js';
import { problemList } from './problem-list.js';

/**
 * One thing that is wrong with a job's arguments.
 *
 * @publicApi
 */
export interface JobArgsIssue {
  /** Where it is, e.g. `recipients[2].email`; empty for the arguments as a whole. */
  readonly path: string;
  /** What is wrong there. */
  readonly message: string;
}

/** A long list with the same mistake in each item must not flood the log; `issues` has them all. */
const MAX_LINES = 20;

/**
 * A job's arguments do not satisfy its schema, or cannot be written as JSON without losing something.
 * At enqueue nothing has been written; at work the job is set aside without burning an attempt.
 *
 * @publicApi
 */
export class InvalidJobArgsError extends AwaError {
  /** The kind whose arguments were refused, when known. */
  readonly kind: string | undefined;
  /** Every problem found; at least one. */
  readonly issues: readonly JobArgsIssue[];

  static {
    this.prototype.name = 'InvalidJobArgsError';
  }

  constructor(issues: readonly JobArgsIssue[], kind?: string, options?: ErrorOptions) {
    const of = kind === undefined ? 'the job arguments' : `the arguments of job kind "${kind}"`;
    const lines = issues.map(({ path, message }) => (path === '' ? message : `${path}: ${message}`));
    const more = lines.length - MAX_LINES;
    const shown = more > 0 ? [...lines.slice(0, MAX_LINES), `and ${more} more`] : lines;
    super('AWA_INVALID_ARGS', problemList(`Correct ${of}:`, shown), options);
    this.kind = kind;
    this.issues = Object.freeze([...issues]);
  }
}
