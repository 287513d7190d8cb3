import { defineJob, UNIQUE_STATES, type UniqueOptions } from 'nestjs-awa';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { uniqueClaim } from '../../lib/queue/unique-claim.js';
import { deferred } from '../support/signals.js';
import { handlerOf, jobIn, useTestApps } from '../support/test-app.js';
import { useTestDatabase } from '../support/test-database.js';

const Greet = defineJob<{ name: string }>('greet');

const database = useTestDatabase();
const apps = useTestApps(database);

interface Inserted {
  readonly job_id: string;
  readonly deduplicated: boolean;
}

/** Calls insert_job() with named arguments, as the application's role. */
async function insertJob(parameters: Readonly<Record<string, unknown>>): Promise<Inserted> {
  const names = Object.keys(parameters);
  const client = await database.client();
  try {
    const { rows } = await client.query<Inserted>(
      `SELECT * FROM awa.insert_job(${names.map((name, index) => `p_${name} => $${index + 1}`).join(', ')})`,
      Object.values(parameters),
    );
    return rows[0]!;
  } finally {
    await client.end();
  }
}

async function rowsWritten(): Promise<number> {
  const { rows } = await database.query<{ count: number }>(
    `SELECT ((SELECT count(*) FROM awa.ready_entries) + (SELECT count(*) FROM awa.deferred_jobs)
       + (SELECT count(*) FROM awa.job_unique_claims))::int AS count`,
  );
  return rows[0]!.count;
}

describe('a job from SQL', () => {
  it('is handled by a worker, which hears of it', async () => {
    const greeted = deferred<unknown>();
    const { queue } = await apps.start({
      worker: { pollIntervalMs: 60_000 },
      handlers: [handlerOf(Greet, ({ args, tags, metadata }) => greeted.resolve({ args, tags, metadata }))],
    });
    const { job_id: id, deduplicated } = await insertJob({
      kind: 'greet',
      args: '{"name": "Ada \\ud83d\\ude80"}',
      tags: ['b', 'a', 'b'],
      metadata: '{"trace": 7}',
    });
    expect(deduplicated).toBe(false);
    expect(await greeted.promise).toEqual({
      args: { name: 'Ada 🚀' },
      tags: ['b', 'a'],
      metadata: { trace: 7 },
    });
    await jobIn('completed', queue, id);
  });

  it('has the defaults that a definition has, and NULL is as good as nothing', async () => {
    const { queue } = await apps.start({ worker: false });
    const plain = await queue.enqueue(defineJob('plain'), {});
    const nulls = { queue: null, priority: null, max_attempts: null, delay: null, tags: null, unique: null };
    const [byName, other] = [
      await insertJob({ kind: 'plain' }),
      await insertJob({ kind: 'plain', ...nulls }),
    ];
    const expected = { ...(await queue.getJob(plain.id)), id: '', createdAt: 0, runAt: 0 };
    for (const { job_id: id } of [byName, other])
      expect({ ...(await queue.getJob(id)), id: '', createdAt: 0, runAt: 0 }).toEqual(expected);
  });

  it('takes every option', async () => {
    const { queue } = await apps.start({ worker: false, queues: { default: {}, email: { shards: 4 } } });
    const options = { queue: 'email', priority: 1, max_attempts: 3, ordering_key: 'customer-42' };
    const later = await insertJob({ kind: 'x', args: '[1, null]', ...options, delay: '1 hour' });
    const job = await queue.getJob(later.job_id);
    expect(job).toMatchObject({
      state: 'scheduled',
      queue: 'email',
      priority: 1,
      maxAttempts: 3,
      args: [1, null],
    });
    expect(job!.runAt.getTime() - job!.createdAt.getTime()).toBe(3_600_000);
    const at = await insertJob({ kind: 'x', run_at: '2999-12-31T00:00:00Z' });
    expect((await queue.getJob(at.job_id))?.runAt).toEqual(new Date('2999-12-31T00:00:00Z'));
    const due = await insertJob({ kind: 'x', ...options });
    const { rows } = await database.query(
      'SELECT l.shard FROM awa.ready_entries e JOIN awa.queue_lanes l USING (lane_id) WHERE e.job_id = $1',
      [due.job_id],
    );
    expect(rows).toEqual([{ shard: 1 }]);
  });

  it('is part of a transaction, and gone with the rollback of a trigger', async () => {
    await apps.start({ worker: false });
    await database.query(`CREATE TABLE orders (id int PRIMARY KEY, total numeric);
      CREATE FUNCTION ship_order() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        PERFORM awa.insert_job(p_kind => 'ship_order', p_args => json_build_object('orderId', NEW.id), p_unique_key => NEW.id::text);
        IF NEW.total < 0 THEN RAISE 'no'; END IF;
        RETURN NULL;
      END $$;
      CREATE TRIGGER ship_order AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION ship_order()`);
    const before = await rowsWritten();
    const client = await database.client();
    await client.query('BEGIN');
    await client.query('INSERT INTO orders VALUES (1, 10)');
    await client.query('ROLLBACK');
    await expect(client.query('INSERT INTO orders VALUES (2, 1), (3, -1)')).rejects.toThrow('no');
    expect(await rowsWritten()).toBe(before);
    await client.query('INSERT INTO orders VALUES (4, 10)');
    const { rows } = await database.query("SELECT args FROM awa.ready_entries WHERE kind = 'ship_order'");
    expect(rows).toEqual([{ args: { orderId: 4 } }]);
  });
});

describe('what QueueService would refuse', () => {
  const kind = 'x';
  const nested = (levels: number) => '['.repeat(levels) + ']'.repeat(levels);
  const unique = (options: unknown) => ({ kind, unique: JSON.stringify(options) });

  it.each<[string, Record<string, unknown>, string]>([
    ['no kind', { kind: null }, 'kind must be a string, not null'],
    ['an empty kind', { kind: '\u00a0\ufeff ' }, 'kind must not be empty'],
    ['a kind with white space around', { kind: 'x\u2003' }, 'kind must not begin or end with white space'],
    ['a kind that is too long', { kind: '🚀'.repeat(101) }, 'kind must have at most 200 characters, not 202'],
    ['a queue without a name', { kind, queue: '' }, 'queue must not be empty'],
    ['arguments that are NULL', { kind, args: null }, 'args must not be NULL'],
    ['NUL in the arguments', { kind, args: '{"a": "\\\\\\u0000"}' }, 'args contains NUL'],
    [
      'arguments that are too large',
      { kind, args: JSON.stringify('x'.repeat(1024 * 1024)) },
      'args must have at most 1048576 bytes as JSON, not 1048578',
    ],
    [
      'arguments that are too deep',
      { kind, args: nested(1001) },
      'args is nested more than 1000 levels deep',
    ],
    ['a priority', { kind, priority: 5 }, 'priority must be 1 (most urgent), 2, 3 or 4, not 5'],
    ['attempts', { kind, max_attempts: 0 }, 'max_attempts must be a whole number from 1 to 1000, not 0'],
    ['a time that is none', { kind, run_at: 'infinity' }, 'run_at must be in the years 1 to 9999'],
    ['a time before all', { kind, run_at: '0002-01-01 BC' }, 'run_at must be in the years 1 to 9999'],
    ['a negative delay', { kind, delay: '-1 ms' }, 'delay must be from 0 to 3650 days'],
    ['a long delay', { kind, delay: '3651 days' }, 'delay must be from 0 to 3650 days'],
    ['both', { kind, delay: '1 s', run_at: '2999-01-01' }, 'pass either run_at or delay, not both'],
    ['an ordering key', { kind, ordering_key: '' }, 'ordering_key must not be empty'],
    ['a tag', { kind, tags: ['a', ' '] }, 'tags[1] must not be empty'],
    ['a tag that is NULL', { kind, tags: [null] }, 'tags[0] must be a string, not null'],
    [
      'tags',
      { kind, tags: Array.from({ length: 21 }, (_, n) => `t${n}`) },
      'tags must hold at most 20 different tags',
    ],
    ['metadata', { kind, metadata: '[]' }, 'metadata must be an object, not array'],
    ['reserved metadata', { kind, metadata: '{"awa:x": 1}' }, 'metadata key "awa:x" is reserved'],
    ['NUL in metadata', { kind, metadata: '{"a": "\\u0000"}' }, 'metadata contains NUL'],
    ['a lone surrogate in metadata', { kind, metadata: '{"a": "\\ud800"}' }, 'metadata cannot be stored'],
    [
      'large metadata',
      { kind, metadata: JSON.stringify({ a: 'x'.repeat(65_536) }) },
      'metadata must have at most 65536 bytes',
    ],
    ['an empty key', { kind, unique_key: '' }, 'unique_key must not be empty'],
    [
      'two keys',
      { ...unique({ key: 'a' }), unique_key: 'b' },
      'pass the key either as unique_key or in unique, not both',
    ],
    ['unique', unique('a'), 'unique must be an object, not string'],
    ['an option of unique', unique({ keys: 'a' }), 'unique has no option "keys"'],
    ['a key that is null', unique({ key: null }), 'unique.key must be a string, not null'],
    ['no paths', unique({ args: [] }), 'unique.args must name a path'],
    ['a path', unique({ args: ['a..b'] }), 'unique.args must hold paths'],
    ['no args', unique({ args: false }), 'unique.args must be true or an array of paths, not boolean'],
    ['a queue', unique({ queue: 'x' }), 'unique.queue must be true or false, not string'],
    ['a period', unique({ period: 1.5 }), 'unique.period must be a whole number of milliseconds'],
    ['a period of nothing', unique({ period: 0 }), 'unique.period must be a whole number of milliseconds'],
    ['states', unique({ states: ['completed'] }), 'unique.states must contain scheduled'],
    ['a state', unique({ states: ['done'] }), 'unique.states has a state that there is not'],
    [
      'a number nobody can tell',
      { ...unique({ args: true }), args: '1e400' },
      'unique.args cannot tell the number',
    ],
  ])('is refused, and nothing written: %s', async (_, parameters, message) => {
    await apps.start({ worker: false });
    const before = await rowsWritten();
    await expect(insertJob(parameters)).rejects.toMatchObject({
      code: 'AW010',
      message: expect.stringContaining(message),
    });
    expect(await rowsWritten()).toBe(before);
  });

  it('is told in one error', async () => {
    await expect(insertJob({ kind: ' ', priority: 9, delay: '-1 s', tags: [''] })).rejects.toThrow(
      /^insert_job\(\) of kind " ": kind must .*; priority must .*; delay must .*; tags\[0\] must /,
    );
  });

  it('is told of a queue that is not registered', async () => {
    await expect(insertJob({ kind, queue: 'emial' })).rejects.toMatchObject({
      code: 'AW001',
      message: 'queue "emial" with priority 2 is not registered',
    });
  });

  it.each([
    ['a kind of 200 characters', { kind: '🚀'.repeat(100) }],
    ['an escaped backslash before u0000', { kind, args: '"\\\\u0000"' }],
    ['1000 levels', { kind, args: nested(1000) }],
    ['brackets in strings', { kind, args: JSON.stringify({ a: `"\\${'['.repeat(2000)}` }) }],
    ['lone surrogates in the arguments', { kind, args: '"\\ud800"' }],
    ['20 tags, twice', { kind, tags: Array.from({ length: 40 }, (_, n) => `t${n % 20}`) }],
    ['a delay of ten years', { kind, delay: '3650 days' }],
  ])('but not %s', async (_, parameters) => {
    await apps.start({ worker: false });
    await expect(insertJob(parameters)).resolves.toMatchObject({ deduplicated: false });
  });
});

describe('a unique job from SQL', () => {
  const Unique = defineJob<{ id: number; deep?: unknown }>('unique');
  const KEEP = [...UNIQUE_STATES, 'completed' as const];

  it.each<[string, UniqueOptions]>([
    ['a key', { key: 'Grüße 🚀' }],
    ['nothing', {}],
    ['the queue', { key: 'a', queue: true }],
    ['no queue', { key: 'b', queue: false }],
    ['a period', { key: 'a', period: 86_400_000, states: KEEP }],
    ['all arguments', { args: true }],
    ['some arguments', { args: ['deep.b.1', 'id', 'deep.b.length', 'none', 'id'] }],
  ])('meets that of TypeScript, either way round: by %s', async (_, unique) => {
    const { queue } = await apps.start({ worker: false });
    const args = { id: 7, deep: { b: [1, 'x', 0.1], a: null } };
    const reordered = '{"deep": {"a":null, "b":[1.0, "\\u0078", 10e-2]}, "id":7}';
    const bySql = await insertJob({ kind: 'unique', args: reordered, unique: JSON.stringify(unique) });
    expect(bySql.deduplicated).toBe(false);
    expect(await queue.enqueue(Unique, args, { unique })).toEqual({ id: bySql.job_id, deduplicated: true });
    await queue.cancelJob(bySql.job_id);
    const byCode = await queue.enqueue(Unique, args, { unique });
    expect(byCode.deduplicated).toBe(false);
    expect(await insertJob({ kind: 'unique', args: reordered, unique: JSON.stringify(unique) })).toEqual({
      job_id: byCode.id,
      deduplicated: true,
    });
    await queue.cancelJob(byCode.id);
  });

  it('takes the key alone as unique_key, and another key makes another job', async () => {
    await apps.start({ worker: false });
    const first = await insertJob({ kind: 'unique', unique_key: 'x' });
    expect(await insertJob({ kind: 'unique', unique: '{"key": "x"}' })).toEqual({
      ...first,
      deduplicated: true,
    });
    expect(await insertJob({ kind: 'unique', unique_key: 'y' })).toMatchObject({ deduplicated: false });
    expect(await insertJob({ kind: 'other', unique_key: 'x' })).toMatchObject({ deduplicated: false });
  });

  it('says so when the holder is newer than the snapshot', async () => {
    await apps.start({ worker: false });
    const client = await database.client();
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
    await client.query('SELECT 1');
    await insertJob({ kind: 'unique', unique_key: 'newer' });
    await expect(
      client.query("SELECT awa.insert_job('unique', p_unique_key => 'newer')"),
    ).rejects.toMatchObject({
      code: '40001',
    });
    await client.query('ROLLBACK');
  });

  const number = (json: string) => ({ kind: 'number', args: json, unique: '{"args": true}' });

  it.each(['1.0', '-0.00', '12e-1', '1E+2', '0.000001', '9007199254740992'])(
    'reads the number %s as JavaScript does',
    async (json) => {
      await apps.start({ worker: false });
      const { job_id: id } = await insertJob(number(json));
      const { rows } = await database.query<{ key: string }>(
        "SELECT encode(unique_key, 'hex') AS key FROM awa.job_unique_claims WHERE job_id = $1",
        [id],
      );
      expect(rows).toEqual([{ key: uniqueClaim({ args: true }, 'number', 'default', json).key }]);
    },
  );

  it.each(['9007199254740993', '0.10000000000000001', '1e-7', '1e999999'])(
    'refuses the number %s, which JavaScript might write otherwise',
    async (json) => {
      await apps.start({ worker: false });
      await expect(insertJob(number(json))).rejects.toMatchObject({ code: 'AW010' });
    },
  );

  it('has the key of TypeScript for any arguments, or none: never another', async () => {
    const value = fc.letrec((tie) => ({
      any: fc.oneof(
        { depthSize: 'small' },
        fc.constantFrom(
          null,
          true,
          false,
          0,
          -0,
          1e-6,
          1e-7,
          1e21,
          2 ** 53,
          -(2 ** 53),
          0.1 + 0.2,
          2 ** -44,
          5e-324,
        ),
        fc.integer(),
        fc.double({ noNaN: true, noDefaultInfinity: true }),
        fc.integer().map((n) => n / 1000),
        fc.string({ unit: 'binary' }).map((text) => text.replaceAll('\0', '')),
        fc.array(tie('any'), { maxLength: 4 }),
        fc.dictionary(
          fc.string({
            unit: fc.constantFrom('a', 'é', '"', '\u007f', '\ue000', '\uffee', '🚀', '\n', '\u0001', '𐀀'),
          }),
          tie('any'),
          { maxKeys: 5 },
        ),
      ),
    })).any;
    let equal = 0;
    const client = await database.ownerClient();
    await fc.assert(
      fc.asyncProperty(value, fc.boolean(), async (args, byPath) => {
        const unique: UniqueOptions = { args: byPath ? ['a', 'é.0', '🚀', '\ue000', '0'] : true };
        const json = JSON.stringify(args);
        const expected = uniqueClaim(unique, 'kind', 'queue', json).key;
        const key = await client
          .query<{ key: string }>(
            "SELECT encode(awa.unique_key_of('kind', 'queue', $1::json, $2::jsonb), 'hex') AS key",
            [json, JSON.stringify(unique)],
          )
          .then(({ rows }) => rows[0]!.key)
          .catch((error: unknown) => (error as { code: string }).code);
        if (key === 'AW010') return;
        equal += 1;
        expect(key).toBe(expected);
      }),
      { numRuns: 400 },
    );
    expect(equal).toBeGreaterThan(100);
  });
});
