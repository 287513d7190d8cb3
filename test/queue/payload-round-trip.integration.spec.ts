import { randomBytes } from 'node:crypto';

import { defineJob, type JobDefinition } from 'nestjs-awa';
import { beforeEach, describe, expect, it } from 'vitest';

import { deferred } from '../support/signals.js';
import { handlerOf, jobIn, type TestApp, useTestApps } from '../support/test-app.js';
import { useTestDatabase } from '../support/test-database.js';

const Anything: JobDefinition = defineJob<unknown>('anything');

const nested = (depth: number): unknown => (depth === 0 ? 'bottom' : { a: [nested(depth - 1)] });

const PAYLOADS: [what: string, payload: unknown][] = [
  ['null', null],
  ['a boolean', false],
  ['an empty string', ''],
  ['an empty array', []],
  ['text in many scripts', { text: 'Grüße, 你好, שלום, Ω, a\u0301, \u200D, \uFEFF, \u2028\u2029' }],
  ['emoji, in keys too', { '😀👩‍👩‍👧': '🏳️‍🌈' }],
  ['lone surrogates', { high: 'a\uD83D', low: '\uDE00b', swapped: '\uDE00\uD83D', '\uD83D': 1 }],
  ['control characters, quotes and backslashes', '\u0001\b\f\n\r\t"\\\\u0000\\n$1 \'; DROP TABLE x; --'],
  ['__proto__ and friends', JSON.parse('{"__proto__": {"admin": true}, "constructor": 1, "toString": null}')],
  ['an empty key', { '': { '': [''] } }],
  ['deep nesting', nested(450)],
  [
    'big and small numbers',
    [Number.MAX_SAFE_INTEGER, 2 ** 53, 1.7976931348623157e308, 5e-324, -0.1, 1e21, 0.1 + 0.2],
  ],
  ['keys in their order', { z: 1, a: 2, m: { y: 1, b: 2 } }],
  ['900 KiB', { data: randomBytes(345_600 * 2).toString('base64') }],
];

describe('a payload', () => {
  const database = useTestDatabase();
  const apps = useTestApps(database);
  let app: TestApp;
  let handled = deferred<unknown>();

  beforeEach(async () => {
    handled = deferred();
    app = await apps.start({ handlers: [handlerOf(Anything, ({ args }) => handled.resolve(args))] });
  });

  it.each(PAYLOADS)('comes back as it was: %s', async (_, payload) => {
    const { id } = await app.queue.enqueue(Anything, payload);
    const args = await handled.promise;
    expect(args).toStrictEqual(payload);
    // Equal to the character: the order of keys, and own properties that toStrictEqual would not tell apart.
    expect(JSON.stringify(args)).toBe(JSON.stringify(payload));
    const stored = await jobIn('completed', app.queue, id);
    expect(JSON.stringify(stored.args)).toBe(JSON.stringify(payload));
  });

  it('does not pollute a prototype', async () => {
    await app.queue.enqueue(Anything, JSON.parse('{"__proto__": {"polluted": true}}'));
    const args = await handled.promise;
    expect(Object.getPrototypeOf(args)).toBe(Object.prototype);
    expect(Object.keys(args as object)).toEqual(['__proto__']);
    expect(({} as { polluted?: true }).polluted).toBeUndefined();
  });
});
