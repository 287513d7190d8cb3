import {
  defineJob,
  type EnqueueOptions,
  InvalidOptionsError,
  type UniqueOptions,
  UNIQUE_STATES,
} from 'nestjs-awa';
import { describe, expect, it } from 'vitest';
import { MAX_DELAY_MS } from '../../lib/jobs/index.js';
import { resolveEnqueueOptions } from '../../lib/queue/resolve-enqueue-options.js';

const Plain = defineJob('plain');
const Unique = defineJob('unique', { unique: { args: ['id'], states: [...UNIQUE_STATES, 'completed'] } });

function problemsOf(work: () => unknown): readonly string[] {
  try {
    work();
  } catch (error) {
    if (error instanceof InvalidOptionsError) return error.problems;
    throw error;
  }
  return [];
}

describe('the unique option', () => {
  it.each<UniqueOptions>([
    {},
    { key: 'x' },
    { args: true, queue: true, period: 1 },
    { args: ['user.id', 'items.0'], queue: false, period: MAX_DELAY_MS },
    { states: UNIQUE_STATES },
    { states: [...UNIQUE_STATES, 'completed', 'failed', 'cancelled'] },
    { key: undefined, args: undefined, queue: undefined, period: undefined, states: undefined },
  ])('may be %o', (unique) => {
    expect(problemsOf(() => defineJob('x', { unique }))).toEqual([]);
    expect(problemsOf(() => resolveEnqueueOptions(Plain, { unique }))).toEqual([]);
  });

  it.each([
    [true, /must be an object, not true/],
    [null, /must be an object, not null/],
    [['a'], /must be an object/],
    [{ by: 'args' }, /no option "by" \(known: key, args, queue, period, states\)/],
    [{ key: '' }, /unique\.key must not be empty/],
    [{ key: 5 }, /unique\.key must be a string/],
    [{ key: '\ud800' }, /lone surrogate/],
    [{ args: false }, /unique\.args must be true or an array/],
    [{ args: 'id' }, /unique\.args must be true or an array/],
    [{ args: [] }, /must name a path/],
    [{ args: ['ok', 'a..b'] }, /unique\.args\[1\] must be a path/],
    [{ args: ['.a'] }, /must be a path/],
    [{ args: [5] }, /unique\.args\[0\] must be a string/],
    [{ queue: 'email' }, /unique\.queue must be true or false/],
    [{ period: 0 }, /unique\.period must be a whole number/],
    [{ period: 1.5 }, /unique\.period must be/],
    [{ period: '1 day' }, /unique\.period must be/],
    [{ period: MAX_DELAY_MS + 1 }, /unique\.period must be/],
    [{ states: 'available' }, /unique\.states must be an array/],
    [{ states: [] }, /must contain scheduled, available, running, retryable too/],
    [{ states: ['available'] }, /must contain scheduled, running, retryable too/],
    [{ states: [...UNIQUE_STATES, 'done'] }, /no state "done"/],
  ])('may not be %o', (unique, message) => {
    const options = { unique } as unknown as EnqueueOptions & { unique: UniqueOptions };
    for (const work of [() => defineJob('x', options), () => resolveEnqueueOptions(Plain, options)]) {
      expect(problemsOf(work)).toEqual([expect.stringMatching(message)]);
    }
  });

  it('lists every problem at once', () => {
    const unique = { key: '', args: [], queue: 1, period: -1, states: [] } as unknown as UniqueOptions;
    expect(problemsOf(() => defineJob('x', { unique }))).toHaveLength(5);
  });

  it('comes from the definition, from the enqueue as a whole, or is switched off', () => {
    expect(resolveEnqueueOptions(Plain).unique).toBeUndefined();
    expect(resolveEnqueueOptions(Unique).unique).toBe(Unique.unique);
    expect(resolveEnqueueOptions(Unique, { unique: { key: 'k' } }).unique).toEqual({ key: 'k' });
    expect(resolveEnqueueOptions(Unique, { unique: false }).unique).toBeUndefined();
  });

  it('cannot be changed any more', () => {
    const args = ['id'];
    const { unique } = defineJob('x', { unique: { args } });
    args.push('more');
    expect(unique).toEqual({ args: ['id'] });
    expect(Object.isFrozen(unique) && Object.isFrozen(unique?.args)).toBe(true);
  });
});
