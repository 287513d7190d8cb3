/**
 * Stable identifiers of everything this package throws on purpose. Branch on these rather than on
 * messages, which may be reworded.
 *
 * @publicApi
 */
export type AwaErrorCode =
  | 'AWA_INVALID_ARGS'
  | 'AWA_ARGS_TOO_LARGE'
  | 'AWA_INVALID_OPTIONS'
  | 'AWA_UNKNOWN_QUEUE'
  | 'AWA_BOOT'
  | 'AWA_SCHEMA_VERSION'
  | 'AWA_DATABASE_UNAVAILABLE'
  | 'AWA_STALE_ATTEMPT'
  | 'AWA_JOB_TIMEOUT'
  | 'AWA_UNIQUE_CONFLICT'
  | 'AWA_ACCESS_DENIED'
  | 'AWA_NOT_STARTED';

/**
 * Base of every error this package throws on purpose. The message says what to do about it.
 *
 * @example
 * ```ts
 * try {
 *   await queue.enqueue(SendEmail, body);
 * } catch (error) {
 *   if (error instanceof AwaError && error.code === 'AWA_INVALID_ARGS') throw new BadRequestException(error.message);
 *   throw error;
 * }
 * ```
 *
 * @publicApi
 */
export abstract class AwaError extends Error {
  /** Which error this is; never changes between releases. */
  readonly code: AwaErrorCode;

  // The name lives on each prototype, as a literal: an own property would come too late for the first
  // line of the stack, and `constructor.name` does not survive a minifying bundler.
  static {
    this.prototype.name = 'AwaError';
  }

  protected constructor(code: AwaErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
