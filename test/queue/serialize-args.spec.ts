import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InvalidJobArgsError, JobArgsTooLargeError } from '../../lib/errors/index.js';
import { DEFAULT_MAX_ARGS_BYTES } from '../../lib/jobs/index.js';
import { serializeArgs } from '../../lib/queue/serialize-args.js';

/** Path and message of the refusal, as one string. */
function refusal(value: unknown): string {
  try {
    serializeArgs(value);
  } catch (error) {
    if (!(error instanceof InvalidJobArgsError)) throw error;
    return error.issues.map(({ path, message }) => `${path}: ${message}`).join();
  }
  throw new Error('expected an InvalidJobArgsError');
}

/** The text, or undefined when the value was refused; anything else that is thrown is a bug. */
function textOrRefusal(value: unknown): string | undefined {
  try {
    return serializeArgs(value);
  } catch (error) {
    if (error instanceof InvalidJobArgsError) return undefined;
    throw error;
  }
}

function nested(levels: number): unknown {
  let value: unknown = 'bottom';
  for (let level = 0; level < levels; level++) value = level % 2 === 0 ? [value] : { a: value };
  return value;
}

class Money {
  constructor(
    private readonly cents: number,
    readonly keys: unknown[] = [],
  ) {}

  toJSON(key: string) {
    this.keys.push(key);
    return { cents: this.cents };
  }
}

describe('serializeArgs', () => {
  it('writes what JSON.stringify writes', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(serializeArgs(value)).toBe(JSON.stringify(value));
      }),
    );
  });

  it('refuses, or writes something that comes back the same', () => {
    const anything = fc.anything({
      withBigInt: true,
      withDate: true,
      withMap: true,
      withSet: true,
      withTypedArray: true,
      withSparseArray: true,
      withNullPrototype: true,
    });
    let written = 0;
    fc.assert(
      fc.property(anything, (value) => {
        const text = textOrRefusal(value);
        if (text === undefined) return;
        written++;
        expect(text).toBe(JSON.stringify(value));
        expect(text).not.toMatch(/(?<!\\)(?:\\\\)*\\u0000/);
      }),
      { numRuns: 500 },
    );
    expect(written).toBeGreaterThan(50);
  });

  it('leaves out undefined properties, and honours toJSON with its key', () => {
    const money = new Money(5);
    expect(serializeArgs({ a: undefined, money, list: [money], at: new Date(0) })).toBe(
      '{"money":{"cents":5},"list":[{"cents":5}],"at":"1970-01-01T00:00:00.000Z"}',
    );
    expect(money.keys.slice(0, 2)).toEqual(['money', '0']);
    expect(serializeArgs(money)).toBe('{"cents":5}');
    expect(money.keys).toContain('');
    expect(serializeArgs({ gone: { toJSON: () => undefined } })).toBe('{}');
  });

  it('takes instances, objects without prototype, boxed values and shared parts', () => {
    class Point {
      readonly x = 1;
      length() {
        return this.x;
      }
    }
    const shared = { a: 1 };
    const bare: unknown = Object.assign(Object.create(null), { b: 2 });
    expect(serializeArgs([new Point(), bare, shared, shared, Object('s'), Object(5)])).toBe(
      '[{"x":1},{"b":2},{"a":1},{"a":1},"s",5]',
    );
  });

  it('keeps own __proto__ keys and lone surrogates', () => {
    const text = '{"__proto__":{"admin":true},"half":"\\ud800"}';
    expect(serializeArgs(JSON.parse(text))).toBe(text);
  });

  it.each([
    [undefined, /^: JSON has no undefined/],
    [() => 1, /^: JSON has no function/],
    [Symbol('s'), /^: JSON has no symbol/],
    [5n, /^: JSON has no bigint/],
    [{ toJSON: () => undefined }, /^: JSON has no undefined/],
    [{ items: [{ id: 5n }] }, /^items\[0\]\.id: JSON has no bigint/],
    [{ f: () => 1 }, /^f: JSON has no function/],
    [{ s: Symbol('s') }, /^s: JSON has no symbol/],
    [[1, undefined], /^\[1\]: JSON has no undefined/],
    [{ a: 1, ratio: 0 / 0 }, /^ratio: JSON would turn NaN into null/],
    [[1, -Infinity], /^\[1\]: JSON would turn -Infinity/],
    [Object(Number.NaN), /^: JSON would turn NaN/],
    [{ 'odd key': new Map([[1, 2]]) }, /^\["odd key"\]: JSON would lose the entries of a Map/],
    [{ a: { b: new Set([1]) } }, /^a\.b: JSON would lose the members of a Set/],
    [{ p: Promise.resolve(1) }, /^p: .*await it first/],
    [{ e: new Error('x') }, /^e: .*Error/],
    [{ r: /x/ }, /^r: .*regular expression/],
    [{ b: new Uint8Array(3) }, /^b: .*base64/],
    [{ b: new ArrayBuffer(3) }, /^b: .*base64/],
    [{ at: new Date(Number.NaN) }, /^at: .*invalid Date/],
    [{ toJSON: () => ({ n: Number.NaN }) }, /^n: JSON would turn NaN/],
    [{ 'a\0b': 1 }, /^\["a\\u0000b"\]: the key contains NUL/],
    [{ a: ['x', 'y\0'] }, /^a\[1\]: the string contains NUL/],
    ['\0', /^: the string contains NUL/],
    [{ a: '\\u0000', b: '\\\0' }, /^b: the string contains NUL/],
  ])('refuses %o', (value, message) => {
    expect(refusal(value)).toMatch(message);
  });

  it('does not take an escaped backslash for NUL', () => {
    const value = { pattern: '\\u0000', more: '\\\\u0000' };
    expect(JSON.parse(serializeArgs(value))).toEqual(value);
  });

  it('refuses what contains itself, and what is too deep', () => {
    const cyclic: Record<string, unknown> = { a: 1 };
    cyclic['list'] = [{ back: cyclic }];
    expect(refusal(cyclic)).toMatch(/^list\[0\]\.back\.list\[0\].*…: .*contains itself/);
    expect(serializeArgs(nested(1000))).toHaveLength(JSON.stringify(nested(1000)).length);
    expect(refusal(nested(1001))).toMatch(/more than 1000 levels/);
    expect(refusal(nested(100_000))).toMatch(/more than 1000 levels/);
    const endless = { toJSON: (): unknown => ({ endless }) };
    expect(refusal(endless)).toMatch(/more than 1000 levels/);
  });

  it('wraps what a getter or a toJSON throws', () => {
    const cause = new Error('lazy relation was not loaded');
    const value = {
      get author(): never {
        throw cause;
      },
    };
    expect(refusal(value)).toMatch(/could not be read: lazy relation was not loaded/);
    expect(() => serializeArgs(value)).toThrow(expect.objectContaining({ cause }));
  });

  it('names the kind', () => {
    expect(() => serializeArgs(5n, 100, 'send_email')).toThrow(/job kind "send_email"/);
    expect(() => serializeArgs('x'.repeat(100), 100, 'send_email')).toThrow(/job kind "send_email"/);
  });
});

describe('size limit of serializeArgs', () => {
  it('is counted in bytes of UTF-8, and inclusive', () => {
    for (const text of ['abcdefgh', 'äöüß', '漢字漢', '😀😀', 'a\nb"c\\']) {
      const bytes = Buffer.byteLength(JSON.stringify(text));
      expect(serializeArgs(text, bytes)).toBe(JSON.stringify(text));
      expect(() => serializeArgs(text, bytes - 1)).toThrow(JobArgsTooLargeError);
    }
  });

  it('never refuses what fits', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const bytes = Buffer.byteLength(JSON.stringify(value));
        expect(serializeArgs(value, bytes)).toBe(JSON.stringify(value));
        expect(() => serializeArgs(value, bytes - 1)).toThrow(JobArgsTooLargeError);
      }),
    );
  });

  it('is 1 MiB unless given', () => {
    expect(serializeArgs('x'.repeat(DEFAULT_MAX_ARGS_BYTES - 2))).toHaveLength(1024 * 1024);
    expect(() => serializeArgs('x'.repeat(DEFAULT_MAX_ARGS_BYTES - 1))).toThrow(
      expect.objectContaining({ bytes: 1024 * 1024 + 1, maxBytes: 1024 * 1024 }),
    );
  });

  it('stops early at a value that would be written out many times', () => {
    let value: unknown = 'leaf';
    for (let level = 0; level < 64; level++) value = [value, value];
    expect(() => serializeArgs(value)).toThrow(JobArgsTooLargeError);
  });
});
