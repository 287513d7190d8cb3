import { type } from 'arktype';
import * as v from 'valibot';
import { describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { InvalidOptionsError } from '../../lib/errors/index.js';
import { defineJob } from '../../lib/jobs/index.js';

function problemsOf(define: () => unknown): readonly string[] {
  try {
    define();
  } catch (error) {
    if (error instanceof InvalidOptionsError) return error.problems;
    throw error;
  }
  throw new Error('expected an InvalidOptionsError');
}

describe('defineJob', () => {
  it('fills in the defaults', () => {
    expect(defineJob('send_email')).toEqual({
      kind: 'send_email',
      queue: 'default',
      maxAttempts: 25,
      priority: 2,
      retry: undefined,
      schema: undefined,
      tags: [],
    });
  });

  it('keeps what it is given', () => {
    const retry = vi.fn<() => number>();
    const definition = defineJob<{ id: string }>('reindex', {
      queue: 'search',
      maxAttempts: 1,
      priority: 4,
      retry,
      tags: ['nightly', 'search', 'nightly'],
    });
    expect(definition).toMatchObject({ queue: 'search', maxAttempts: 1, priority: 4, retry });
    expect(definition.tags).toEqual(['nightly', 'search']);
  });

  it('is frozen, and does not share what it was given', () => {
    const retry = { baseMs: 5 };
    const tags = ['a'];
    const definition = defineJob('x', { retry, tags });
    retry.baseMs = 6;
    tags.push('b');
    expect(definition.retry).toEqual({ baseMs: 5 });
    expect(definition.tags).toEqual(['a']);
    for (const part of [definition, definition.retry, definition.tags])
      expect(Object.isFrozen(part)).toBe(true);
  });

  it.each([
    ['zod', z.object({ to: z.string() })],
    ['valibot', v.object({ to: v.string() })],
    ['arktype', type({ to: 'string' })],
  ])('takes a schema of %s', (_library, schema) => {
    expect(defineJob('send_email', { schema }).schema).toBe(schema);
  });

  it('lists every problem at once', () => {
    const problems = problemsOf(() =>
      defineJob(' send', {
        queue: 'q'.repeat(201),
        maxAttempts: 1001,
        // @ts-expect-error priorities end at 4
        priority: 5,
        retry: { jitter: 2 },
        tags: [''],
        retires: 3,
      }),
    );
    expect(problems).toHaveLength(7);
    expect(problems.join('\n')).toMatch(
      /kind[^]*retires[^]*queue[^]*maxAttempts[^]*priority[^]*jitter[^]*tags\[0\]/,
    );
  });

  it.each(['', '   ', ' padded', 'padded\n', 'nul\0', 'half \ud800', 'k'.repeat(201)])(
    'refuses the kind %j',
    (kind) => {
      expect(problemsOf(() => defineJob(kind)).join()).toMatch(/^kind must/);
      expect(problemsOf(() => defineJob('x', { queue: kind })).join()).toMatch(/^queue must/);
    },
  );

  it('takes names of exactly 200 characters', () => {
    expect(defineJob('k'.repeat(200), { queue: 'q'.repeat(200) }).kind).toHaveLength(200);
  });

  it.each([0, -1, 1.5, 10_001, Number.NaN])('refuses a concurrency of %d', (concurrency) => {
    expect(problemsOf(() => defineJob('x', { concurrency }))).toEqual([
      `concurrency must be a whole number from 1 to 10000, not ${concurrency}`,
    ]);
    expect(defineJob('x', { concurrency: 3 }).concurrency).toBe(3);
    expect(defineJob('x').concurrency).toBeUndefined();
  });

  it.each([0, -1, 1.5, 1001, Number.NaN, Infinity])('refuses %d attempts', (maxAttempts) => {
    expect(problemsOf(() => defineJob('x', { maxAttempts }))).toHaveLength(1);
  });

  it.each([
    [{ factor: 0.5 }, /factor/],
    [{ factor: Number.NaN }, /factor/],
    [{ baseMs: -1 }, /baseMs/],
    [{ maxMs: Infinity }, /maxMs/],
    [{ jitter: -0.1 }, /jitter/],
    [{ baseMs: 1, base: 5 }, /no option "base"/],
  ])('refuses the retry policy %j', (retry, message) => {
    expect(problemsOf(() => defineJob('x', { retry })).join()).toMatch(message);
  });

  it('refuses values of the wrong type', () => {
    // @ts-expect-error neither an object nor a function
    expect(problemsOf(() => defineJob('x', { retry: 5 })).join()).toMatch(/retry must be/);
    // @ts-expect-error not a Standard Schema
    expect(problemsOf(() => defineJob('x', { schema: { parse: () => 1 } })).join()).toMatch(
      /Standard Schema/,
    );
    // @ts-expect-error not an array
    expect(problemsOf(() => defineJob('x', { tags: 'a' })).join()).toMatch(/tags must be an array/);
    // @ts-expect-error not a string
    expect(problemsOf(() => defineJob(5)).join()).toMatch(/kind must be a string/);
  });

  it('allows 20 tags and no more', () => {
    const tags = Array.from({ length: 21 }, (_, index) => `t${index}`);
    expect(defineJob('x', { tags: tags.slice(1) }).tags).toHaveLength(20);
    expect(problemsOf(() => defineJob('x', { tags })).join()).toMatch(/at most 20/);
  });
});
