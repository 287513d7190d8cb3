import { describe, expect, it, vi } from 'vitest';
import { MAX_DELAY_MS, retryDelayMs } from '../../lib/jobs/index.js';

const HOUR = 60 * 60 * 1000;
const noLuck = () => 0;

describe('retryDelayMs', () => {
  it('leaves the default to the database', () => {
    expect(retryDelayMs(undefined, 1, new Error('x'))).toBeUndefined();
  });

  it('grows from baseMs by factor, and stops at maxMs', () => {
    const delays = [1, 2, 3, 16, 17, 1000].map((attempt) => retryDelayMs({}, attempt, undefined, noLuck));
    expect(delays).toEqual([2000, 4000, 8000, 65_536_000, 24 * HOUR, 24 * HOUR]);
    expect(retryDelayMs({ baseMs: 100, factor: 3, maxMs: 500 }, 1, undefined, noLuck)).toBe(300);
    expect(retryDelayMs({ baseMs: 100, factor: 3, maxMs: 500 }, 2, undefined, noLuck)).toBe(500);
    expect(retryDelayMs({ baseMs: 5000, factor: 1 }, 40, undefined, noLuck)).toBe(5000);
  });

  it('adds up to jitter of the delay, and never exceeds maxMs by it', () => {
    expect(retryDelayMs({}, 1, undefined, () => 1)).toBe(2500);
    expect(retryDelayMs({ jitter: 1 }, 1, undefined, () => 0.5)).toBe(3000);
    expect(retryDelayMs({ jitter: 0 }, 1, undefined, () => 1)).toBe(2000);
    expect(retryDelayMs({ maxMs: 2100 }, 1, undefined, () => 1)).toBe(2100);
  });

  it('stays a number at the extremes', () => {
    expect(retryDelayMs({ baseMs: 0 }, 1000, undefined)).toBe(0);
    expect(retryDelayMs({ baseMs: 0, factor: 1e300 }, 1000, undefined)).toBe(0);
    expect(retryDelayMs({ factor: 1e300 }, 1000, undefined)).toBe(24 * HOUR);
  });

  it('treats undefined settings as left out', () => {
    expect(retryDelayMs({ baseMs: undefined }, 1, undefined, noLuck)).toBe(2000);
  });

  it('asks a function, with the attempt and what it threw', () => {
    const error = new Error('x');
    const policy = vi.fn<(attempt: number) => number>((attempt) => attempt * 10.4);
    expect(retryDelayMs(policy, 3, error)).toBe(31);
    expect(policy).toHaveBeenCalledExactlyOnceWith(3, error);
  });

  it.each([Number.NaN, -1, Infinity, -Infinity])('does not trust a function that returns %d', (delay) => {
    expect(retryDelayMs(() => delay, 1, undefined)).toBeUndefined();
  });

  it('does not trust a function that throws or returns no number', () => {
    // @ts-expect-error not a number
    expect(retryDelayMs(() => '5', 1, undefined)).toBeUndefined();
    const policy = vi.fn<() => number>().mockThrow(new Error('in the policy'));
    expect(retryDelayMs(policy, 1, undefined)).toBeUndefined();
    expect(policy).toHaveBeenCalledOnce();
  });

  it('limits a function to ten years', () => {
    expect(retryDelayMs(() => 1e300, 1, undefined)).toBe(MAX_DELAY_MS);
  });
});
