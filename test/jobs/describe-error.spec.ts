import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { describeError, MAX_ERROR_BYTES, storableText } from '../../lib/jobs/index.js';

function explode(): never {
  throw new Error('hostile');
}

const isStorable = (text: string) => !text.includes('\0') && Buffer.from(text).toString() === text;

describe('describeError', () => {
  it('gives stack and causes of an error', () => {
    const root = new RangeError('disk full');
    const text = describeError(
      new Error('upload failed', { cause: new TypeError('write', { cause: root }) }),
    );
    expect(text).toMatch(
      /^Error: upload failed\n +at [^]*\nCaused by: TypeError: write\n[^]*\nCaused by: RangeError: disk full\n/,
    );
  });

  it('gives a cause that is no error, and the parts of an AggregateError', () => {
    expect(describeError(new Error('a', { cause: 'because' }))).toMatch(/\nCaused by: because$/);
    const refused = new AggregateError([new Error('refused ::1'), new Error('refused 127.0.0.1')]);
    expect(describeError(refused)).toMatch(/refused ::1[^]*refused 127\.0\.0\.1/);
  });

  it('ends with a chain of causes that goes round, or on', () => {
    const a = new Error('a');
    const b = new Error('b', { cause: a });
    a.cause = b;
    expect(describeError(a).match(/Caused by/g)).toHaveLength(1);
    let long: Error = new Error('bottom');
    for (let index = 0; index < 1000; index++) long = new Error(`level ${index}`, { cause: long });
    expect(Buffer.byteLength(describeError(long))).toBeLessThanOrEqual(MAX_ERROR_BYTES);
  });

  it('keeps the cause when the first stack is huge', () => {
    const error = new Error('top', { cause: new Error('the real reason') });
    error.stack = `Error: top\n${'    at somewhere\n'.repeat(100_000)}`;
    const text = describeError(error);
    expect(text).toContain('the real reason');
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(MAX_ERROR_BYTES);
  });

  it('knows a message that was changed after the stack was made', () => {
    const error = new Error('first');
    expect(error.stack).toContain('first');
    error.message = 'second';
    expect(describeError(error)).toMatch(/^Error: second\n/);
  });

  it.each([
    [null, 'null'],
    [undefined, 'undefined'],
    [5n, '5n'],
    [Symbol('s'), 'Symbol(s)'],
    ['plain', 'plain'],
    ['', '(string without a description)'],
    [{ code: 5 }, '{ code: 5 }'],
    [Object.create(null), '[Object: null prototype] {}'],
  ])('describes %s', (thrown, text) => {
    expect(describeError(thrown)).toBe(text);
  });

  it('survives hostile values', () => {
    const cyclic: Record<string, unknown> = {};
    cyclic['self'] = cyclic;
    const withoutMessage = new Error('x');
    for (const key of ['stack', 'message', 'cause', 'name']) {
      Object.defineProperty(withoutMessage, key, { get: explode });
    }
    const revoked = Proxy.revocable({}, {});
    revoked.revoke();
    const hostile = [
      cyclic,
      withoutMessage,
      revoked.proxy,
      { toString: explode, toJSON: explode, [Symbol.toPrimitive]: explode },
      new Proxy({}, { get: explode, getPrototypeOf: explode, ownKeys: explode }),
      { [Symbol.for('nodejs.util.inspect.custom')]: explode },
    ];
    for (const value of hostile) expect(describeError(value)).toMatch(/./);
  });

  it('always gives text that Postgres can store', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 50 }), fc.anything(), (message, anything) => {
        const nasty = `\0${message}\ud800`.repeat(200);
        for (const thrown of [nasty, new Error(nasty), new Error('x', { cause: anything }), anything]) {
          const text = describeError(thrown);
          expect(isStorable(text) && text !== '' && Buffer.byteLength(text) <= MAX_ERROR_BYTES).toBe(true);
        }
      }),
      { numRuns: 50 },
    );
  });
});

describe('storableText', () => {
  it('leaves good text alone', () => {
    expect(storableText('grün 😀', 100)).toBe('grün 😀');
    expect(storableText('exactly 12!!', 12)).toBe('exactly 12!!');
  });

  it('removes NUL and mends lone surrogates', () => {
    expect(storableText('a\0b\ud800c', 100)).toBe('ab\ufffdc');
  });

  it('marks what was cut, also when the rest would fit without its NULs', () => {
    expect(storableText('a'.repeat(21), 20)).toBe(`${'a'.repeat(10)} … (cut)`);
    expect(storableText('\0'.repeat(10) + 'a'.repeat(20), 20)).toMatch(/^a+ … \(cut\)$/);
  });

  it('cuts between characters', () => {
    const text = storableText('😀'.repeat(10), 25);
    expect(text).toMatch(/^😀+ … \(cut\)$/u);
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(25);
  });
});
