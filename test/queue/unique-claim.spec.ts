import { describe, expect, it } from 'vitest';
import type { UniqueOptions } from '../../lib/jobs/index.js';
import { uniqueClaim } from '../../lib/queue/unique-claim.js';

interface Job {
  readonly kind?: string;
  readonly queue?: string;
  readonly args?: unknown;
}

const key = (unique: UniqueOptions, { kind = 'mail', queue = 'default', args = {} }: Job = {}) =>
  uniqueClaim(unique, kind, queue, JSON.stringify(args)).key;

describe('a unique key', () => {
  it('is of 128 bits, and does not change from release to release', () => {
    expect(key({})).toBe('a0145579268dfeba9553445c277e47c7');
    expect(key({ key: 'k', args: ['b', 'a.c'], queue: true, period: 1000 }, { args: { a: { c: 1 } } })).toBe(
      '025165cb8baec39a52d622fb01fb9a5c',
    );
  });

  it('depends on the kind, and on nothing that was not chosen', () => {
    expect(key({})).toBe(key({}, { queue: 'other', args: [1] }));
    expect(key({})).not.toBe(key({}, { kind: 'post' }));
    expect(key({ queue: false })).toBe(key({}));
    expect(key({ queue: true })).not.toBe(key({ queue: true }, { queue: 'other' }));
    expect(key({ args: true }, { args: { a: 1 } })).not.toBe(key({ args: true }, { args: { a: 2 } }));
    expect(key({ period: 1 })).not.toBe(key({ period: 2 }));
  });

  it('is another one for each part that the same text is', () => {
    const text = 'same';
    const keys = [
      key({}, { kind: text }),
      key({ key: text }),
      key({ queue: true }, { queue: text }),
      key({ args: true }, { args: text }),
      key({ args: [text] }),
      key({ args: [text] }, { args: { [text]: text } }),
      key({ args: [text] }, { args: { [text]: null } }),
      key({ key: `${text}${text}` }),
      key({ key: text, queue: true }, { queue: text }),
      key({ period: 1 }),
      key({ key: '1' }),
    ];
    expect(new Set(keys).size).toBe(keys.length);
  });

  it('cannot be imitated by moving text from one part to the next', () => {
    expect(key({ key: 'ab', args: true }, { args: 'c' })).not.toBe(
      key({ key: 'a', args: true }, { args: 'bc' }),
    );
    expect(key({ args: ['a', 'b'] }, { args: { a: 'x' } })).not.toBe(
      key({ args: ['a', 'b'] }, { args: { b: 'x' } }),
    );
    expect(key({}, { kind: 'k\u0003\0\0\0\u0001x' })).not.toBe(key({ key: 'x' }, { kind: 'k' }));
  });

  it('is the same for equal arguments, in whatever order they were written', () => {
    const a = { x: [{ p: 1, q: null }, 'é'], y: { '10': 1, '9': 2, ü: 3 } };
    const b = { y: { ü: 3, '9': 2, '10': 1 }, x: [{ q: null, p: 1 }, 'é'] };
    expect(key({ args: true }, { args: a })).toBe(key({ args: true }, { args: b }));
    expect(key({ args: true }, { args: [1, 2] })).not.toBe(key({ args: true }, { args: [2, 1] }));
    expect(key({ args: true }, { args: ['1'] })).not.toBe(key({ args: true }, { args: [1] }));
    expect(key({ args: ['x', 'y'] }, { args: a })).toBe(key({ args: ['y', 'x', 'y'] }, { args: b }));
  });

  it('takes the arguments at paths, and tells null from nothing', () => {
    const args = { user: { id: 7, name: 'A' }, items: [{ sku: 's' }] };
    const renamed = { user: { id: 7, name: 'B' }, items: [{ sku: 's' }, 1] };
    expect(key({ args: ['user.id', 'items.0.sku'] }, { args })).toBe(
      key({ args: ['user.id', 'items.0.sku'] }, { args: renamed }),
    );
    expect(key({ args: ['user'] }, { args })).not.toBe(key({ args: ['user'] }, { args: renamed }));
    expect(key({ args: ['a'] }, { args: { a: null } })).not.toBe(key({ args: ['a'] }, { args: {} }));
    for (const nowhere of [{}, null, 'text', [], { a: 'text' }]) {
      expect(key({ args: ['a.length'] }, { args: nowhere })).toBe(key({ args: ['a.length'] }));
    }
    expect(key({ args: ['constructor'] }, { args: {} })).toBe(key({ args: ['constructor'] }, { args: [] }));
  });
});

describe('the states of a unique job', () => {
  const states = [
    'running',
    'completed',
    'scheduled',
    'available',
    'retryable',
    'completed',
    'failed',
  ] as const;

  it('are kept as far as they can be chosen', () => {
    expect(uniqueClaim({ states }, 'k', 'q', '{}').heldAfter).toEqual(['completed', 'failed']);
    expect(uniqueClaim({}, 'k', 'q', '{}').heldAfter).toEqual([]);
  });

  it('are not part of the key', () => {
    expect(key({ states })).toBe(key({}));
  });
});
