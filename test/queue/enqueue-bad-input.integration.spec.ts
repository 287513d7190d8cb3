import {
  AwaError,
  defineJob,
  type EnqueueOptions,
  InvalidJobArgsError,
  InvalidOptionsError,
  JobArgsTooLargeError,
  type JobDefinition,
  UnknownQueueError,
} from 'nestjs-awa';
import { DataSource, type EntityManager } from 'typeorm';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';

import { type TestApp, useTestApps } from '../support/test-app.js';
import { useTestDatabase } from '../support/test-database.js';

const Checked = defineJob('checked', { schema: z.object({ to: z.email() }) });
// Whatever JavaScript can pass without the compiler's help.
const Anything: JobDefinition = defineJob<unknown>('anything');

const cycle: Record<string, unknown> = {};
cycle['self'] = cycle;

/** Options as a caller without types could give them. */
const untyped = (options: object) => options as EnqueueOptions;

const ARGS: [
  what: string,
  definition: JobDefinition,
  args: unknown,
  error: new (...args: never[]) => Error,
][] = [
  ['a payload that fails its schema', Checked, { to: 'nobody' }, InvalidJobArgsError],
  ['a payload of another shape', Checked, null, InvalidJobArgsError],
  ['a BigInt', Anything, { id: 1n }, InvalidJobArgsError],
  ['a cycle', Anything, cycle, InvalidJobArgsError],
  ['undefined', Anything, undefined, InvalidJobArgsError],
  ['undefined in an array', Anything, [1, undefined], InvalidJobArgsError],
  ['NaN', Anything, { n: Number.NaN }, InvalidJobArgsError],
  ['a Map', Anything, new Map([[1, 2]]), InvalidJobArgsError],
  ['NUL', Anything, { text: 'a\0b' }, InvalidJobArgsError],
  ['NUL in a key', Anything, { 'a\0b': 1 }, InvalidJobArgsError],
  ['too much text', Anything, 'x'.repeat(20_000), JobArgsTooLargeError],
  ['too many bytes in few characters', Anything, '\u{1F600}'.repeat(6_000), JobArgsTooLargeError],
];

const OPTIONS: [what: string, options: EnqueueOptions, error: new (...args: never[]) => Error][] = [
  ['priority 0', untyped({ priority: 0 }), InvalidOptionsError],
  ['priority 5', untyped({ priority: 5 }), InvalidOptionsError],
  ['priority 1.5', untyped({ priority: 1.5 }), InvalidOptionsError],
  ['priority "1"', untyped({ priority: '1' }), InvalidOptionsError],
  ['maxAttempts 0', { maxAttempts: 0 }, InvalidOptionsError],
  ['maxAttempts 1001', { maxAttempts: 1001 }, InvalidOptionsError],
  ['an empty queue', { queue: '' }, InvalidOptionsError],
  ['a queue of 201 characters', { queue: 'q'.repeat(201) }, InvalidOptionsError],
  ['a queue with NUL', { queue: 'a\0b' }, InvalidOptionsError],
  ['an invalid date', { runAt: new Date(Number.NaN) }, InvalidOptionsError],
  ['a date as text', untyped({ runAt: '2026-01-01' }), InvalidOptionsError],
  ['a negative delay', { delay: -1 }, InvalidOptionsError],
  ['an endless delay', { delay: Number.POSITIVE_INFINITY }, InvalidOptionsError],
  ['runAt and delay', { runAt: new Date(), delay: 1 }, InvalidOptionsError],
  ['an unknown option', untyped({ prioritee: 1 }), InvalidOptionsError],
  ['reserved metadata', { metadata: { 'awa:x': 1 } }, InvalidOptionsError],
  ['metadata with a lone surrogate', { metadata: { text: '\uD83D' } }, InvalidOptionsError],
  ['an empty tag', { tags: [''] }, InvalidOptionsError],
  ['an unknown queue', { queue: 'nowhere' }, UnknownQueueError],
];

describe('bad input in a transaction of the caller', () => {
  const database = useTestDatabase();
  const apps = useTestApps(database);
  let dataSource: DataSource;
  let app: TestApp;

  beforeAll(async () => {
    dataSource = await new DataSource({ type: 'postgres', url: database.url }).initialize();
    await database.query('CREATE TABLE notes (n int)');
  });

  afterAll(async () => {
    await dataSource.destroy();
  });

  beforeEach(async () => {
    app = await apps.start({ worker: false, maxArgsBytes: 20_000 });
    await database.query('TRUNCATE notes');
  });

  /** The error of an enqueue; the transaction it was in must then commit, with another write and nothing else. */
  async function refusal(enqueue: (manager: EntityManager) => Promise<unknown>): Promise<unknown> {
    const error = await dataSource.transaction(async (manager) => {
      const caught: unknown = await enqueue(manager).then(
        () => undefined,
        (reason: unknown) => reason,
      );
      await manager.query('INSERT INTO notes VALUES (1)');
      return caught;
    });
    const { rows } = await database.query<{ notes: number; jobs: number }>(
      `SELECT (SELECT count(*) FROM notes)::int AS notes,
        ((SELECT count(*) FROM awa.ready_entries) + (SELECT count(*) FROM awa.deferred_jobs))::int AS jobs`,
    );
    expect(rows).toEqual([{ notes: 1, jobs: 0 }]);
    return error;
  }

  it.each(ARGS)('refuses %s', async (_, definition, args, expected) => {
    const error = await refusal(async (manager) => app.queue.enqueue(definition, args, { manager }));
    expect(error).toBeInstanceOf(expected);
    expect(error).toBeInstanceOf(AwaError);
    expect(error).toMatchObject({ kind: definition.kind });
  });

  it.each(OPTIONS)('refuses %s', async (_, options, expected) => {
    const error = await refusal(async (manager) => app.queue.enqueue(Anything, 1, { manager, ...options }));
    expect(error).toBeInstanceOf(expected);
    expect(error).toBeInstanceOf(AwaError);
  });

  it.each(['', 'k'.repeat(201)])('refuses the kind %j', async (kind) => {
    const error = await refusal(async (manager) => app.queue.enqueue(defineJob(kind), 1, { manager }));
    expect(error).toBeInstanceOf(InvalidOptionsError);
  });

  it('refuses all of many when one is bad', async () => {
    const error = await refusal(async (manager) =>
      app.queue.enqueueMany(Checked, [{ to: 'a@b.cd' }, { to: 'nobody' }, { to: 'c@d.ef' }], { manager }),
    );
    expect(error).toMatchObject({ code: 'AWA_INVALID_ARGS', issues: [{ path: 'to' }] });
  });

  it('lists every problem of the options at once', async () => {
    const error = await refusal(async (manager) =>
      app.queue.enqueue(Anything, 1, untyped({ manager, priority: 9, maxAttempts: 0, nonsense: true })),
    );
    expect(error).toMatchObject({ problems: [expect.any(String), expect.any(String), expect.any(String)] });
  });
});
