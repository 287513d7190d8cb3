import { describe, expect, it } from 'vitest';
import { InvalidOptionsError } from '../../lib/errors/index.js';
import {
  cancel,
  complete,
  fail,
  isJobOutcome,
  JobOutcome,
  MAX_DELAY_MS,
  retryAfter,
  snooze,
} from '../../lib/jobs/index.js';

function thrownBy(outcome: () => JobOutcome): unknown {
  try {
    throw outcome();
  } catch (thrown) {
    return thrown;
  }
}

describe('outcomes', () => {
  it('say what became of the attempt', () => {
    expect(complete()).toMatchObject({ type: 'complete', delayMs: 0, reason: undefined });
    expect(fail('gone')).toMatchObject({ type: 'fail', delayMs: 0, reason: 'gone' });
    expect(retryAfter(1500.4, 'busy')).toMatchObject({ type: 'retryAfter', delayMs: 1500, reason: 'busy' });
    expect(snooze(0)).toMatchObject({ type: 'snooze', delayMs: 0, reason: undefined });
    expect(cancel('unsubscribed')).toMatchObject({ type: 'cancel', delayMs: 0, reason: 'unsubscribed' });
  });

  it('take an error as the reason', () => {
    expect(fail(new TypeError('no such account')).reason).toMatch(/^TypeError: no such account\n/);
  });

  it('are immutable', () => {
    expect(Object.isFrozen(fail('gone'))).toBe(true);
  });

  it('are recognised when returned and when thrown', () => {
    expect(isJobOutcome(thrownBy(() => fail('gone')))).toBe(true);
    expect(isJobOutcome(complete())).toBe(true);
    expect(complete()).toBeInstanceOf(JobOutcome);
    for (const value of [undefined, null, 5, 'fail', {}, { type: 'fail' }, new Error('x'), () => 1]) {
      expect(isJobOutcome(value)).toBe(false);
    }
  });

  it.each([-1, Number.NaN, Infinity, MAX_DELAY_MS + 1, '5', undefined])('refuse a delay of %s', (delay) => {
    // @ts-expect-error some of them are not numbers
    expect(() => retryAfter(delay)).toThrow(InvalidOptionsError);
    // @ts-expect-error some of them are not numbers
    expect(() => snooze(delay)).toThrow(/snooze\(\)[^]*delayMs must be/);
  });

  it('bound the reason', () => {
    expect(Buffer.byteLength(fail('é'.repeat(100_000)).reason ?? '')).toBeLessThanOrEqual(8192);
  });
});
