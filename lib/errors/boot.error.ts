import { AwaError } from './awa-error.js';
import { problemList } from './problem-list.js';

/**
 * The application cannot start as it is put together. One error lists every problem.
 *
 * @publicApi
 */
export class BootError extends AwaError {
  /** One sentence a problem. */
  readonly problems: readonly string[];

  static {
    this.prototype.name = 'BootError';
  }

  /** @param problems one sentence a problem; at least one */
  constructor(problems: readonly string[], options?: ErrorOptions) {
    super(
      'AWA_BOOT',
      problemList('Correct these problems before the application can start:', problems),
      options,
    );
    this.problems = Object.freeze([...problems]);
  }
}
