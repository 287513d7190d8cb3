import { AsyncLocalStorage } from 'node:async_hooks';

import { defineJob, type QueueService } from 'nestjs-awa';
import { DataSource, type EntityManager } from 'typeorm';
import { beforeEach, describe, expect, it } from 'vitest';

import { useTestApps } from '../support/test-app.js';
import { useTestDatabase } from '../support/test-database.js';

const Work = defineJob<{ n: number }, 'work'>('work', { queue: 'a' });

describe('enqueues at the same time, each outside of a transaction', () => {
  const database = useTestDatabase();
  const apps = useTestApps(database);
  let queue: QueueService;

  beforeEach(async () => {
    ({ queue } = await apps.start({ worker: false, queues: { a: {}, b: {} } }));
  });

  async function stored(ids: readonly string[]): Promise<{ id: string; n: number; xid: string }[]> {
    const { rows } = await database.query<{ id: string; n: number; xid: string }>(
      `SELECT job_id::text AS id, (args->>'n')::int AS n, enqueue_xid::text AS xid FROM awa.ready_entries
       WHERE job_id = ANY ($1::bigint[]) ORDER BY job_id`,
      [ids],
    );
    return rows;
  }

  it('share commits, and each gets the id of its own job', async () => {
    const jobs = await Promise.all(Array.from({ length: 60 }, (_, n) => queue.enqueue(Work, { n })));
    const rows = await stored(jobs.map(({ id }) => id));
    expect(new Map(rows.map(({ id, n }) => [id, n]))).toEqual(new Map(jobs.map(({ id }, n) => [id, n])));
    expect(new Set(rows.map(({ xid }) => xid)).size).toBeLessThan(10);
  });

  it('with several jobs get theirs in their order, in whichever queue', async () => {
    const calls = await Promise.all(
      [3, 1, 0, 2, 5].map((size, call) =>
        queue.enqueueMany(
          Work,
          Array.from({ length: size }, (_, n) => ({ n: call * 10 + n })),
          { queue: call % 2 === 0 ? 'a' : 'b', priority: call < 3 ? 1 : 4 },
        ),
      ),
    );
    const rows = await stored(calls.flat().map(({ id }) => id));
    const numbers = new Map(rows.map(({ id, n }) => [id, n]));
    expect(calls.map((jobs) => jobs.map(({ id }) => numbers.get(id)))).toEqual([
      [0, 1, 2],
      [10],
      [],
      [30, 31],
      [40, 41, 42, 43, 44],
    ]);
    const placed = await Promise.all(calls.flat().map(({ id }) => queue.getJob(id)));
    expect(placed.map((job) => `${job?.queue}${job?.priority}`).join(' ')).toBe(
      'a1 a1 a1 b1 b4 b4 a4 a4 a4 a4 a4',
    );
  });

  it('do not fail for one of them that the database refuses', async () => {
    await database.query(`ALTER TABLE awa.ready_entries ADD CONSTRAINT lucky CHECK (args->>'n' <> '1313')`);
    const numbers = Array.from({ length: 40 }, (_, n) => 1300 + n);
    try {
      const results = await Promise.allSettled(numbers.map((n) => queue.enqueue(Work, { n })));
      const failed = results.flatMap((result, nth) =>
        result.status === 'rejected' ? [[numbers[nth], result.reason]] : [],
      );
      expect(failed).toEqual([[1313, expect.objectContaining({ code: '23514' })]]);
      const ids = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value.id] : []));
      expect((await stored(ids)).map(({ n }) => n).toSorted((a, b) => a - b)).toEqual(
        numbers.filter((n) => n !== 1313),
      );
    } finally {
      await database.query('ALTER TABLE awa.ready_entries DROP CONSTRAINT lucky');
    }
  });

  it('stay in the transactions of a DataSource that follows its callers', async () => {
    const dataSource = await new DataSource({ type: 'postgres', url: database.url }).initialize();
    // As libraries do it that bind a DataSource to the transaction around a call.
    const around = new AsyncLocalStorage<EntityManager>();
    const [own, query] = [dataSource.manager, dataSource.query.bind(dataSource)];
    Object.defineProperty(dataSource, 'manager', { get: () => around.getStore() ?? own });
    dataSource.query = (text: string, parameters?: unknown[]) =>
      query(text, parameters, around.getStore()?.queryRunner);
    const app = await apps.start({ worker: false, queues: { a: {} }, dataSource });
    try {
      const enqueueIn = (n: number, fails: boolean) =>
        own.transaction((manager) =>
          around.run(manager, async () => {
            const { id } = await app.queue.enqueue(Work, { n });
            expect(await stored([id])).toEqual([]);
            if (fails) throw new Error(id);
            return id;
          }),
        );
      const results = await Promise.allSettled([1, 2, 3, 4].map((n) => enqueueIn(n, n % 2 === 0)));
      const ids = results.map((result) =>
        result.status === 'fulfilled' ? result.value : (result.reason as Error).message,
      );
      expect((await stored(ids)).map(({ n }) => n).toSorted((a, b) => a - b)).toEqual([1, 3]);
    } finally {
      await app.close();
      await dataSource.destroy();
    }
  });
});
