import { AwaError } from './awa-error.js';
import { problemList } from './problem-list.js';

/**
 * Options given to this package cannot be used. Every problem is listed, so that one run shows all there
 * is to correct. Nothing has been written when it is thrown.
 *
 * @publicApi
 */
export class InvalidOptionsError extends AwaError {
  /** One sentence a problem. */
  readonly problems: readonly string[];

  static {
    this.prototype.name = 'InvalidOptionsError';
  }

  /**
   * @param subject what the options were for, e.g. `defineJob("send_email")`
   * @param problems one sentence a problem; at least one
   */
  constructor(subject: string, problems: readonly string[], options?: ErrorOptions) {
    super('AWA_INVALID_OPTIONS', problemList(`Correct the options of ${subject}:`, problems), options);
    this.problems = Object.freeze([...problems]);
  }
}
