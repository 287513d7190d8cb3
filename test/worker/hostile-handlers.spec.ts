// oxlint-disable unicorn/no-thenable -- handlers may return any
import { defineJob } from 'nestjs-awa';
import { describe, expect, it } from 'vitest';

import { deferred } from '../support/signals.js';
import { failOnUnhandled, handlerOf, jobIn, useTestApps } from '../support/test-app.js';
import { useTestDatabase } from '../support/test-database.js';

const Work = defineJob<number, 'work'>('work', { retry: { baseMs: 60_000 } });
const Harmless = defineJob<number, 'harmless'>('harmless');

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

function raise(value: unknown): never {
  throw value as Error;
}

const unreadable = Object.defineProperty(new Error('x'), 'message', {
  get: () => raise(new Error('no message for you')),
});
const endless: Error & { cause?: unknown } = new Error('a cause of itself');
endless.cause = endless;

const THROWN: [what: string, value: unknown, text?: string | RegExp][] = [
  ['an error', new Error('plain'), 'plain'],
  ['a string', 'just text', 'just text'],
  ['a number', 42, '42'],
  ['undefined', undefined, 'undefined'],
  ['null', null, 'null'],
  ['false', false, 'false'],
  ['a bigint', 10n, '10n'],
  ['a symbol', Symbol('s'), 'Symbol(s)'],
  ['an object', { code: 7 }, 'code: 7'],
  ['an object without prototype', Object.create(null)],
  ['a revoked proxy', revoked()],
  ['an error whose message cannot be read', unreadable],
  ['an error that is its own cause', endless, 'a cause of itself'],
  [
    'an AggregateError',
    new AggregateError([new Error('one'), new Error('two')], 'both'),
    /both[^]*one[^]*two/,
  ],
  ['NUL in its message', new Error('a\0b'), 'ab'],
  ['lone surrogates in its message', new Error('a\uD83Db'), 'a\uFFFDb'],
  ['an endless message', new Error('x'.repeat(5_000_000)), 'xxx'],
  ['an endless message of emoji', '😀'.repeat(100_000), '😀😀'],
];

describe('a handler that throws', () => {
  failOnUnhandled();
  const database = useTestDatabase();
  const apps = useTestApps(database);

  const ways: [way: string, fail: (value: unknown) => unknown][] = [
    ['synchronously', raise],
    ['as a rejection', (value) => Promise.reject(value)],
  ];

  it.each(
    THROWN.flatMap(([what, value, text]) => ways.map(([way, fail]) => ({ what, value, text, way, fail }))),
  )('$what, $way: the attempt failed, the worker lives', async ({ value, text = '', fail }) => {
    const { queue } = await apps.start({
      handlers: [handlerOf(Work, () => fail(value)), handlerOf(Harmless, () => undefined)],
    });
    const { id } = await queue.enqueue(Work, 1);
    const { errors } = await jobIn('retryable', queue, id);
    expect(errors).toHaveLength(1);
    const [{ error } = { error: '' }] = errors;
    expect(error).not.toBe('');
    expect(Buffer.byteLength(error)).toBeLessThanOrEqual(8 * 1024);
    expect(error).toMatch(text);
    const { id: after } = await queue.enqueue(Harmless, 1);
    await jobIn('completed', queue, after);
  });

  it('does not spoil the batch of others', async () => {
    const values = THROWN.map(([, value]) => value);
    const { queue } = await apps.start({
      handlers: [handlerOf(Work, ({ args }) => raise(values[args])), handlerOf(Harmless, () => undefined)],
    });
    const bad = await queue.enqueueMany(Work, [...values.keys()]);
    const good = await queue.enqueueMany(Harmless, [...values.keys()]);
    for (const { id } of good) await jobIn('completed', queue, id);
    for (const { id } of bad) {
      expect((await jobIn('retryable', queue, id)).errors).toHaveLength(1);
    }
  });

  it('keeps the newest 50 of many errors', async () => {
    const quick = defineJob<number, 'quick'>('quick', { retry: { baseMs: 0 } });
    const { queue } = await apps.start({
      handlers: [handlerOf(quick, ({ attempt }) => raise(`failure ${attempt}`))],
    });
    const { id } = await queue.enqueue(quick, 1, { delay: 60_000, maxAttempts: 52 });
    await database.query(
      `UPDATE awa.deferred_jobs SET run_at = now(), attempt = 49, payload = jsonb_build_object('errors', (
         SELECT jsonb_agg(jsonb_build_object('attempt', n, 'error', 'x', 'at', now())) FROM generate_series(1, 49) AS n))
       WHERE job_id = $1`,
      [id],
    );
    const { errors } = await jobIn('failed', queue, id);
    expect(errors.map(({ attempt }) => attempt)).toEqual(Array.from({ length: 50 }, (_, index) => index + 3));
    expect(errors.at(-1)).toMatchObject({ error: 'failure 52', terminal: true });
  });

  it('may return what cannot be looked at', async () => {
    const opaque = new Proxy({}, { has: () => raise(new Error('do not look')) });
    const { queue } = await apps.start({ handlers: [handlerOf(Harmless, () => opaque)] });
    const { id } = await queue.enqueue(Harmless, 1);
    expect(await jobIn('completed', queue, id)).toMatchObject({ attempt: 1, errors: [] });
  });

  it.each([
    ['a thenable that throws', () => ({ then: () => raise(new Error('thrown by then')) }), 'thrown by then'],
    [
      'a thenable that rejects twice',
      () => ({
        then: (_: unknown, reject: (error: Error) => void) => {
          reject(new Error('the first'));
          reject(new Error('the second'));
          raise(new Error('the third'));
        },
      }),
      'the first',
    ],
    ['a promise of a promise that is rejected', async () => Promise.reject(new Error('inner')), 'inner'],
  ])('may return %s', async (_, returned, text) => {
    const { queue } = await apps.start({ handlers: [handlerOf(Work, () => returned())] });
    const { id } = await queue.enqueue(Work, 1);
    expect((await jobIn('retryable', queue, id)).errors[0]?.error).toContain(text);
  });

  it('may be rejected long after its job was handed back and the application has closed', async () => {
    const running = deferred();
    let reject: (error: Error) => void = () => undefined;
    const app = await apps.start({
      worker: { shutdownTimeoutMs: 0 },
      handlers: [
        handlerOf(Work, async () => {
          running.resolve();
          return new Promise((__, late) => (reject = late));
        }),
      ],
    });
    const { id } = await app.queue.enqueue(Work, 1);
    await running.promise;
    await app.close();
    reject(new Error('much too late'));
    const { queue } = await apps.start({ worker: false });
    expect(await queue.getJob(id)).toMatchObject({ state: 'available', attempt: 0, errors: [] });
  });
});
