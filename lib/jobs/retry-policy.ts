import { MAX_DELAY_MS } from './job.constants.js';
import { delayProblems, show, unknownKeyProblems } from './job-options.rules.js';

/**
 * Exponential back-off. The delay after attempt `n` failed is `baseMs * factorⁿ`, made longer by a random
 * part of up to `jitter` of itself, and never more than `maxMs`.
 *
 * @publicApi
 */
export interface RetryBackoff {
  /** Milliseconds that the growth starts from. Default 1000. */
  readonly baseMs?: number;
  /** What each further attempt multiplies the delay by, at least 1 (1 = always the same). Default 2. */
  readonly factor?: number;
  /** Longest delay in milliseconds. Default 24 hours. */
  readonly maxMs?: number;
  /** Largest random addition as a share of the delay, 0 to 1. Default 0.25. */
  readonly jitter?: number;
}

/**
 * When a failed attempt is tried again: a back-off, or a function of the attempt that failed (the first
 * is 1) and what it threw, that returns milliseconds. If such a function throws, or returns something that
 * is not a finite number of at least 0, the default back-off applies.
 *
 * @publicApi
 */
export type RetryPolicy = RetryBackoff | ((attempt: number, error: unknown) => number);

const DEFAULTS = { baseMs: 1000, factor: 2, maxMs: 24 * 60 * 60 * 1000, jitter: 0.25 };

/**
 * Milliseconds to wait before the next attempt, or undefined when the policy has no say: then the database
 * applies the default, which is `{}` as a {@link RetryBackoff}: 2, 4, 8 … seconds, up to 25 % more, at most 24 hours.
 *
 * @param attempt the attempt that failed; the first is 1
 * @param random a number from 0 to 1, to be replaced in tests
 */
export function retryDelayMs(
  policy: RetryPolicy | undefined,
  attempt: number,
  error: unknown,
  random: () => number = Math.random,
): number | undefined {
  if (policy === undefined) return undefined;
  if (typeof policy === 'function') return askPolicy(policy, attempt, error);
  const {
    baseMs = DEFAULTS.baseMs,
    factor = DEFAULTS.factor,
    maxMs = DEFAULTS.maxMs,
    jitter = DEFAULTS.jitter,
  } = policy;
  // factor ** attempt may well be Infinity, and 0 * Infinity would be NaN.
  const delay = baseMs === 0 ? 0 : baseMs * factor ** attempt * (1 + jitter * random());
  return Math.min(Math.round(delay), maxMs);
}

/** What is wrong with a retry policy. */
export function retryProblems(value: unknown): string[] {
  if (typeof value === 'function') return [];
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return [`retry must be an object or a function, not ${show(value)}`];
  }
  const { baseMs, factor, maxMs, jitter } = { ...DEFAULTS, ...dropUndefined(value) };
  const problems = [
    ...unknownKeyProblems('retry', value, Object.keys(DEFAULTS)),
    ...delayProblems('retry.baseMs', baseMs),
    ...delayProblems('retry.maxMs', maxMs),
  ];
  if (!Number.isFinite(factor) || factor < 1) {
    problems.push(`retry.factor must be a finite number of at least 1, not ${show(factor)}`);
  }
  if (typeof jitter !== 'number' || !(jitter >= 0 && jitter <= 1)) {
    problems.push(`retry.jitter must be a number from 0 to 1, not ${show(jitter)}`);
  }
  return problems;
}

function askPolicy(
  policy: (attempt: number, error: unknown) => number,
  attempt: number,
  error: unknown,
): number | undefined {
  try {
    const delay: unknown = policy(attempt, error);
    if (typeof delay !== 'number' || !Number.isFinite(delay) || delay < 0) return undefined;
    return Math.min(Math.round(delay), MAX_DELAY_MS);
  } catch {
    return undefined;
  }
}

function dropUndefined(value: object): RetryBackoff {
  return Object.fromEntries(Object.entries(value).filter(([, entry]) => entry !== undefined));
}
