import { InvalidOptionsError } from '../errors/index.js';
import { describeError } from './describe-error.js';
import { delayProblems } from './job-options.rules.js';

/**
 * What became of an attempt.
 *
 * @publicApi
 */
export type JobOutcomeType = 'complete' | 'fail' | 'retryAfter' | 'snooze' | 'cancel';

/** Shared between copies of this package, so that an outcome made by one is known to the other. */
const BRAND = Symbol.for('nestjs-awa.JobOutcome');

/**
 * What a handler may return, or throw, to say how its attempt ended. Immutable. Made by `complete`, `fail`,
 * `retryAfter`, `snooze` and `cancel`; recognised by `isJobOutcome`.
 *
 * @publicApi
 */
export class JobOutcome {
  readonly type: JobOutcomeType;
  /** Milliseconds until the job is due again; 0 unless `type` is `retryAfter` or `snooze`. */
  readonly delayMs: number;
  /** Why, as text of at most 8 KiB. */
  readonly reason: string | undefined;

  /** @internal */
  constructor(type: JobOutcomeType, delayMs: number, reason?: string | Error) {
    this.type = type;
    this.delayMs = delayMs;
    this.reason = reason === undefined ? undefined : describeError(reason);
    Object.defineProperty(this, BRAND, { value: true });
    Object.freeze(this);
  }
}

/**
 * Tells outcomes from other values that handlers return or throw.
 *
 * @publicApi
 */
export function isJobOutcome(value: unknown): value is JobOutcome {
  try {
    return typeof value === 'object' && value !== null && BRAND in value;
  } catch {
    // A proxy may throw whatever it is asked.
    return false;
  }
}

const COMPLETE = new JobOutcome('complete', 0);

/**
 * The job is done. The same as returning anything else.
 *
 * @publicApi
 */
export function complete(): JobOutcome {
  return COMPLETE;
}

/**
 * The job has failed for good: no further attempt, whatever `maxAttempts` is.
 *
 * @param reason kept in the job's error history
 *
 * @example
 * ```ts
 * if (response.status === 410) throw fail('the account is gone');
 * ```
 *
 * @publicApi
 */
export function fail(reason: string | Error): JobOutcome {
  return new JobOutcome('fail', 0, reason);
}

/**
 * The attempt failed; try again after this delay instead of the one of the retry policy. Counts as an
 * attempt: when it was the last one, the job has failed.
 *
 * @param delayMs milliseconds, 0 to ten years
 * @param reason kept in the job's error history
 * @throws InvalidOptionsError for any other delay
 *
 * @example
 * ```ts
 * if (response.status === 429) return retryAfter(Number(response.headers.get('retry-after')) * 1000);
 * ```
 *
 * @publicApi
 */
export function retryAfter(delayMs: number, reason?: string | Error): JobOutcome {
  return new JobOutcome('retryAfter', checkedDelay('retryAfter', delayMs), reason);
}

/**
 * Not now: run the job again after this delay. Not a failure, and does not count as an attempt.
 *
 * @param delayMs milliseconds, 0 to ten years
 * @throws InvalidOptionsError for any other delay
 *
 * @publicApi
 */
export function snooze(delayMs: number): JobOutcome {
  return new JobOutcome('snooze', checkedDelay('snooze', delayMs));
}

/**
 * The job is no longer wanted. It ends as cancelled, not as failed.
 *
 * @param reason kept with the job
 *
 * @publicApi
 */
export function cancel(reason: string | Error): JobOutcome {
  return new JobOutcome('cancel', 0, reason);
}

function checkedDelay(outcome: string, delayMs: number): number {
  const problems = delayProblems('delayMs', delayMs);
  if (problems.length > 0) throw new InvalidOptionsError(`${outcome}()`, problems);
  return Math.round(delayMs);
}
