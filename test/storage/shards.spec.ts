import { createHash } from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';
import { enqueueJobs } from '../../lib/storage/operations/enqueue-jobs.js';
import { registerQueues } from '../../lib/storage/operations/queues.js';
import type { SqlPort } from '../../lib/storage/sql-port.js';
import {
  claimJobs,
  newJob,
  openPort,
  registerTestInstance,
  registerTestQueue,
  SCHEMA,
} from '../support/storage-fixture.js';
import { useTestDatabase } from '../support/test-database.js';

const database = useTestDatabase();

let port: SqlPort;
let instanceId: string;

beforeEach(async () => {
  port = await openPort(database);
  instanceId = await registerTestInstance(port);
});

const enqueue = (queue: string, count = 1, overrides = {}, on = port) =>
  enqueueJobs(
    on,
    SCHEMA,
    Array.from({ length: count }, () => newJob(queue, overrides)),
  );

const claim = async (queue: string, limit: number) =>
  (await claimJobs(port, SCHEMA, instanceId, [{ queue, limit }])).map(({ jobId }) => jobId);

/** The shard of each job, in the order of the ids given. */
async function shardsOf(ids: readonly string[]): Promise<number[]> {
  const { rows } = await database.query<{ id: string; shard: number }>(
    `SELECT e.job_id::text AS id, l.shard::int AS shard FROM awa.ready_entries e JOIN awa.queue_lanes l USING (lane_id)
     WHERE e.job_id = ANY ($1::bigint[])`,
    [ids],
  );
  const shards = new Map(rows.map(({ id, shard }) => [id, shard]));
  return ids.map((id) => shards.get(id)!);
}

describe('the shard of an ordering key', () => {
  const shardOf = async (key: string, shards: number) => {
    const { rows } = await database.query<{ shard: number }>('SELECT awa.shard_of_key($1, $2) AS shard', [
      key,
      shards,
    ]);
    return rows[0]!.shard;
  };

  /** The definition of docs/queues.md, in another language. */
  const defined = (key: string, shards: number) => {
    const digest = createHash('sha256').update(`awa:shard:${key}`).digest();
    return Number((digest.readBigUInt64BE() & 0x7fff_ffff_ffff_ffffn) % BigInt(shards));
  };

  it.each(['a', 'customer-42', 'Grüße 🚀', '0'.repeat(200)])('follows the definition for %s', async (key) => {
    for (const shards of [1, 2, 3, 7, 64]) expect(await shardOf(key, shards)).toBe(defined(key, shards));
  });

  // The test vectors of docs/queues.md.
  it.each([
    ['a', 4, 2],
    ['customer-42', 4, 1],
    ['Grüße 🚀', 64, 34],
  ])('is for %j of %i shards %i', async (key, shards, shard) => {
    expect(await shardOf(key, shards)).toBe(shard);
  });

  it('spreads keys over all shards', async () => {
    const { rows } = await database.query<{ keys: number }>(
      `SELECT count(*)::int AS keys FROM generate_series(1, 64000) AS n GROUP BY awa.shard_of_key('key-' || n, 64)`,
    );
    expect(rows).toHaveLength(64);
    for (const { keys } of rows) expect(Math.abs(keys - 1_000)).toBeLessThan(200);
  });
});

describe('a queue with shards', () => {
  it('puts jobs of one key into one shard, in whatever call', async () => {
    const queue = await registerTestQueue(port, { shards: 8 });
    const ids: string[] = [];
    for (let call = 0; call < 20; call++)
      ids.push(...(await enqueue(queue, 3, { orderingKey: 'customer-42' })));
    expect(new Set(await shardsOf(ids)).size).toBe(1);
  });

  it('starts jobs of one key in the order of their enqueues, at any shard count', async () => {
    const queue = await registerTestQueue(port, { shards: 4 });
    const keys = ['a', 'b', 'c', 'd', 'e'];
    const expected = new Map<string, string[]>(keys.map((key) => [key, []]));
    for (let round = 0; round < 20; round++) {
      for (const orderingKey of keys)
        expected.get(orderingKey)!.push(...(await enqueue(queue, 1, { orderingKey })));
    }
    const claimed: string[] = [];
    for (let jobs = await claim(queue, 7); jobs.length > 0; jobs = await claim(queue, 7))
      claimed.push(...jobs);
    expect(claimed).toHaveLength(100);
    for (const ids of expected.values()) expect(claimed.filter((id) => ids.includes(id))).toEqual(ids);
  });

  it('spreads batches without a key over all shards, each batch in one', async () => {
    const queue = await registerTestQueue(port, { shards: 4 });
    const perBatch: number[] = [];
    for (let batch = 0; batch < 8; batch++) {
      const shards = new Set(await shardsOf(await enqueue(queue, 4)));
      expect(shards.size).toBe(1);
      perBatch.push(...shards);
    }
    const turns = [0, 1, 2, 3].map((shard) => perBatch.filter((each) => each === shard).length);
    expect(turns).toEqual([2, 2, 2, 2]);
  });

  it('lets no shard wait for the others to be empty', async () => {
    const queue = await registerTestQueue(port, { shards: 8 });
    for (let batch = 0; batch < 8; batch++) await enqueue(queue, 300);
    const seen = new Set<number>();
    for (let claims = 0; claims < 200; claims++) seen.add((await shardsOf(await claim(queue, 1)))[0]!);
    expect(seen.size).toBe(8);
  });

  it('drains the shards that a smaller number leaves out', async () => {
    const queue = await registerTestQueue(port, { shards: 4 });
    const old: string[] = [];
    for (let batch = 0; batch < 8; batch++) old.push(...(await enqueue(queue, 2)));
    expect(new Set(await shardsOf(old)).size).toBe(4);
    await registerQueues(port, SCHEMA, [{ name: queue, shards: 2 }]);
    const now: string[] = [];
    for (let batch = 0; batch < 8; batch++) {
      now.push(...(await enqueue(queue, 2)));
      now.push(...(await enqueue(queue, 1, { orderingKey: `key-${batch}` })));
    }
    expect([...new Set(await shardsOf(now))].toSorted((one, other) => one - other)).toEqual([0, 1]);
    const claimed: string[] = [];
    for (let jobs = await claim(queue, 5); jobs.length > 0; jobs = await claim(queue, 5))
      claimed.push(...jobs);
    expect(claimed.toSorted()).toEqual([...old, ...now].toSorted());
  });

  it('stays as it is for a process that does not say', async () => {
    const queue = await registerTestQueue(port, { shards: 3 });
    await registerQueues(port, SCHEMA, [queue]);
    const ids: string[] = [];
    for (let batch = 0; batch < 6; batch++) ids.push(...(await enqueue(queue)));
    expect(new Set(await shardsOf(ids)).size).toBe(3);
  });

  it('keeps the shard of a job that waits for a time', async () => {
    const queue = await registerTestQueue(port, { shards: 8 });
    const [now] = await enqueue(queue, 1, { orderingKey: 'k' });
    const [later] = await enqueue(queue, 1, { orderingKey: 'k', delayMs: 60_000 });
    const { rows } = await database.query(
      'SELECT l.shard::int AS shard FROM awa.deferred_jobs d JOIN awa.queue_lanes l USING (lane_id) WHERE d.job_id = $1::bigint',
      [later],
    );
    expect(rows).toEqual([{ shard: (await shardsOf([now!]))[0] }]);
  });
});

describe('a queue with one shard', () => {
  it('is strictly first in, first out, keys or not, and asks for no rotor', async () => {
    const queue = await registerTestQueue(port);
    const rotor = async () =>
      (await database.query('SELECT last_value, is_called FROM awa.shard_rotor')).rows;
    const before = await rotor();
    const ids: string[] = [];
    for (let round = 0; round < 10; round++) {
      ids.push(...(await enqueue(queue, 2)));
      ids.push(...(await enqueue(queue, 1, { orderingKey: `key-${round}` })));
    }
    const claimed: string[] = [];
    for (let jobs = await claim(queue, 4); jobs.length > 0; jobs = await claim(queue, 4))
      claimed.push(...jobs);
    expect(claimed).toEqual(ids);
    expect(await rotor()).toEqual(before);
  });
});
