import { describe, expect, it } from 'vitest';
import type { Client } from 'pg';
import { PgAdapter } from '../../lib/storage/adapters/pg.adapter.js';
import { completeAttempts } from '../../lib/storage/operations/close-attempts.js';
import { enqueueJobs } from '../../lib/storage/operations/enqueue-jobs.js';
import { enqueueUniqueJobs } from '../../lib/storage/operations/enqueue-unique-jobs.js';
import { newJob, openPort, SCHEMA } from '../support/storage-fixture.js';
import { useTestDatabase } from '../support/test-database.js';
import { enqueueUnique, useUniqueFixture } from '../support/unique-fixture.js';

const database = useTestDatabase();
const u = useUniqueFixture(database);

async function begin(mode = ''): Promise<{ client: Client; own: PgAdapter }> {
  const client = await database.client();
  await client.query(`BEGIN ${mode}`);
  return { client, own: new PgAdapter(client) };
}

describe('two transactions with one key', () => {
  it.each([
    ['COMMIT', true],
    ['ROLLBACK', false],
  ] as const)(
    'the second waits, and after the %s of the first is a duplicate: %s',
    async (end, duplicate) => {
      const { client, own } = await begin();
      const first = await u.put('a', {}, own);
      const second = u.put('a');
      await u.waiting(1);
      await client.query(end);
      expect((await second).deduplicated).toBe(duplicate);
      expect((await second).id === first.id).toBe(duplicate);
      expect(await u.holder('a')).toBe((await second).id);
      expect((await u.claim()).map(({ jobId }) => jobId)).toEqual([(await second).id]);
    },
  );

  it('passes the key on to one of those that wait', async () => {
    const { client, own } = await begin();
    await u.put('a', {}, own);
    const ports = await Promise.all([1, 2, 3, 4].map(() => openPort(database)));
    const rest = Promise.all(ports.map((port) => u.put('a', {}, port)));
    await u.waiting(4);
    await client.query('ROLLBACK');
    const results = await rest;
    expect(results.filter(({ deduplicated }) => !deduplicated)).toHaveLength(1);
    expect(new Set(results.map(({ id }) => id)).size).toBe(1);
  });

  it('gives the key back with a savepoint', async () => {
    const { client, own } = await begin();
    await client.query('SAVEPOINT s');
    await u.put('a', {}, own);
    await client.query('ROLLBACK TO s');
    const other = await u.put('a');
    expect(other.deduplicated).toBe(false);
    expect(await u.put('a', {}, own)).toEqual({ id: other.id, deduplicated: true });
    await client.query('COMMIT');
  });

  it('stops a batch at its place in the order of keys: none behind it is taken yet', async () => {
    const [low, high] = ['a', 'b'].toSorted((x, y) => (u.key(x) < u.key(y) ? -1 : 1)) as [string, string];
    const { client, own } = await begin();
    const first = await u.put(low, {}, own);
    const batch = enqueueUnique(
      u.port,
      [high, low].map((text) => u.job(text)),
    );
    await u.waiting(1);
    const other = await database.client();
    await other.query("SET lock_timeout = '200ms'");
    expect((await u.put(high, {}, new PgAdapter(other))).deduplicated).toBe(false);
    await client.query('COMMIT');
    expect((await batch).map(({ deduplicated }) => deduplicated)).toEqual([true, true]);
    expect((await batch)[1]!.id).toBe(first.id);
  });

  it('keeps jobs without the key out of it', async () => {
    const { client, own } = await begin();
    await u.put('a', {}, own);
    const other = await database.client();
    await other.query("SET lock_timeout = '200ms'");
    expect((await u.put('b', {}, new PgAdapter(other))).deduplicated).toBe(false);
    await enqueueJobs(new PgAdapter(other), SCHEMA, [newJob(u.queue)]);
    await client.query('ROLLBACK');
  });
});

describe('a key that is being freed', () => {
  it.each([
    ['COMMIT', false],
    ['ROLLBACK', true],
  ] as const)('is waited for: after the %s it is a duplicate: %s', async (end, duplicate) => {
    const { id, jobs } = await u.putAndClaim('a');
    const { client, own } = await begin();
    await completeAttempts(own, SCHEMA, jobs);
    const next = u.put('a');
    await u.waiting(1);
    await client.query(end);
    expect((await next).deduplicated).toBe(duplicate);
    expect((await next).id === id).toBe(duplicate);
  });

  it('is not waited for by those who free keys, whoever wants them', async () => {
    const { jobs } = await u.putAndClaim('a');
    const { client, own } = await begin();
    expect((await u.put('a', {}, own)).deduplicated).toBe(true);
    const closer = await database.client();
    await closer.query("SET lock_timeout = '200ms'");
    expect(await completeAttempts(new PgAdapter(closer), SCHEMA, jobs)).toEqual([]);
    expect(await u.holder('a')).toBeUndefined();
    await client.query('COMMIT');
  });
});

describe('many connections', () => {
  it('have exactly one winner a key', async () => {
    const ports = await Promise.all(Array.from({ length: 8 }, () => openPort(database)));
    for (let round = 0; round < 20; round++) {
      const results = await Promise.all(ports.map((port) => u.put(`r${round}`, {}, port)));
      expect(results.filter(({ deduplicated }) => !deduplicated)).toHaveLength(1);
      expect(new Set(results.map(({ id }) => id)).size).toBe(1);
    }
    expect(await u.claim()).toHaveLength(20);
  });

  it('never deadlock with batches of the same keys in any order', async () => {
    const ports = await Promise.all(Array.from({ length: 6 }, () => openPort(database)));
    const texts = Array.from({ length: 200 }, (_, n) => `t${n}`);
    for (let round = 0; round < 5; round++) {
      const batches = await Promise.all(
        ports.map((port) =>
          enqueueUnique(
            port,
            texts.toSorted(() => Math.random() - 0.5).map((text) => u.job(`${round} ${text}`)),
          ),
        ),
      );
      const winners = batches.flat().filter(({ deduplicated }) => !deduplicated);
      expect(new Set(winners.map(({ id }) => id)).size).toBe(200);
      expect(winners).toHaveLength(200);
    }
  });
});

describe('a transaction with one snapshot', () => {
  const beginWithSnapshot = async () => {
    const transaction = await begin('ISOLATION LEVEL REPEATABLE READ');
    await transaction.client.query('SELECT count(*) FROM awa.queues');
    return transaction;
  };
  const unique = () => [u.job('other'), u.job('a')];

  it('answers what it can see, its own jobs too', async () => {
    const seen = await u.put('a');
    const { client, own } = await beginWithSnapshot();
    const [other, first] = await enqueueUnique(own, unique());
    expect(first).toEqual({ id: seen.id, deduplicated: true });
    expect(await enqueueUnique(own, unique())).toEqual([
      { id: other!.id, deduplicated: true },
      { id: seen.id, deduplicated: true },
    ]);
    await client.query('COMMIT');
    expect(await u.put('other')).toEqual({ id: other!.id, deduplicated: true });
  });

  it.each([false, true])(
    'answers its own job, not the one that it still sees with the key (in a savepoint: %s)',
    async (isNested) => {
      const { jobs } = await u.putAndClaim('a');
      const { client, own } = await beginWithSnapshot();
      await completeAttempts(u.port, SCHEMA, jobs);
      if (isNested) await client.query('SAVEPOINT nested');
      const taken = await u.put('a', {}, own);
      expect(taken.deduplicated).toBe(false);
      if (isNested) await client.query('RELEASE nested');
      expect(await u.put('a', {}, own)).toEqual({ id: taken.id, deduplicated: true });
      await client.query('COMMIT');
      expect(await u.holder('a')).toBe(taken.id);
    },
  );

  it('is told when it cannot see the holder, enqueues nothing, and goes on', async () => {
    const { client, own } = await beginWithSnapshot();
    const { id } = await u.put('a');
    expect(await enqueueUniqueJobs(own, SCHEMA, unique())).toBeUndefined();
    const [later] = await enqueueUnique(own, [u.job('later')]);
    await client.query('COMMIT');
    expect(await u.holder('other')).toBeUndefined();
    expect((await u.claim()).map(({ jobId }) => jobId).toSorted()).toEqual([id, later!.id].toSorted());
  });

  it('gets a key that was freed after its snapshot', async () => {
    const { jobs } = await u.putAndClaim('a');
    const { client, own } = await beginWithSnapshot();
    await completeAttempts(u.port, SCHEMA, jobs);
    const results = await enqueueUnique(own, unique());
    expect(results.map(({ deduplicated }) => deduplicated)).toEqual([false, false]);
    await client.query('COMMIT');
    expect(await u.holder('a')).toBe(results[1]!.id);
  });
});
