import { defineJob } from 'nestjs-awa';
import { DataSource } from 'typeorm';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { handlerOf, jobIn, type TestApp, useTestApps } from '../support/test-app.js';
import { useTestDatabase } from '../support/test-database.js';

const Work = defineJob<{ n: number }, 'work'>('work');

/** Every table that a job could leave a row in; what others have left goes with its segment, at any time. */
const TRACES = `SELECT count(*)::int AS rows FROM (
  SELECT job_id FROM awa.ready_entries UNION ALL SELECT job_id FROM awa.deferred_jobs UNION ALL
  SELECT job_id FROM awa.done_entries UNION ALL SELECT unnest(job_ids) FROM awa.lease_claims UNION ALL
  SELECT unnest(job_ids) FROM awa.completion_batches
) t WHERE job_id = ANY ($1::bigint[])`;

describe('enqueue in a transaction of the caller', () => {
  const database = useTestDatabase();
  const apps = useTestApps(database);
  let dataSource: DataSource;
  let app: TestApp;
  let ran: number[];

  beforeAll(async () => {
    dataSource = await new DataSource({ type: 'postgres', url: database.url }).initialize();
    await database.query('CREATE TABLE notes (n int)');
  });

  afterAll(async () => {
    await dataSource.destroy();
  });

  beforeEach(async () => {
    ran = [];
    app = await apps.start({ handlers: [handlerOf(Work, ({ args }) => ran.push(args.n))] });
    await database.query('TRUNCATE notes');
  });

  async function traces(ids: readonly string[]): Promise<number> {
    const { rows } = await database.query<{ rows: number }>(TRACES, [ids]);
    return rows[0]?.rows ?? Number.NaN;
  }

  async function notes(): Promise<number[]> {
    const { rows } = await database.query<{ n: number }>('SELECT n FROM notes ORDER BY n');
    return rows.map(({ n }) => n);
  }

  /** A job of its own, proves that the worker has looked at the queue since. */
  async function workerHasLooked(): Promise<void> {
    const { id } = await app.queue.enqueue(Work, { n: -1 });
    await jobIn('completed', app.queue, id);
    ran = ran.filter((n) => n !== -1);
  }

  it('commits with an entity manager, and runs only after the commit', async () => {
    const id = await dataSource.transaction(async (manager) => {
      await manager.query('INSERT INTO notes VALUES (1)');
      const job = await app.queue.enqueue(Work, { n: 1 }, { manager });
      expect(await app.queue.getJob(job.id)).toBeNull();
      await workerHasLooked();
      expect(ran).toEqual([]);
      return job.id;
    });
    await jobIn('completed', app.queue, id);
    expect(ran).toEqual([1]);
    expect(await notes()).toEqual([1]);
  });

  it('rolls back with an entity manager and leaves no trace', async () => {
    const { id: other } = await app.queue.enqueue(Work, { n: 2 }, { delay: 60_000 });
    expect(await traces([other])).toBe(1);
    const ids: string[] = [];
    const failing = dataSource.transaction(async (manager) => {
      const now = await app.queue.enqueue(Work, { n: 2 }, { manager });
      const later = await app.queue.enqueue(Work, { n: 2 }, { manager, delay: 60_000 });
      ids.push(now.id, later.id);
      await manager.query('INSERT INTO notes VALUES (2)');
      throw new Error('changed my mind');
    });
    await expect(failing).rejects.toThrow('changed my mind');
    expect(ids).toHaveLength(2);
    expect(await traces(ids)).toBe(0);
    expect(await notes()).toEqual([]);
    await workerHasLooked();
    expect(ran).toEqual([]);
  });

  it('commits and rolls back with a query runner', async () => {
    const queryRunner = dataSource.createQueryRunner();
    try {
      await queryRunner.startTransaction();
      const { id: lost } = await app.queue.enqueue(Work, { n: 3 }, { queryRunner });
      await queryRunner.rollbackTransaction();
      expect(await app.queue.getJob(lost)).toBeNull();

      await queryRunner.startTransaction();
      const { id: kept } = await app.queue.enqueue(Work, { n: 4 }, { queryRunner });
      await queryRunner.commitTransaction();
      await jobIn('completed', app.queue, kept);
      expect(await app.queue.getJob(lost)).toBeNull();
      expect(ran).toEqual([4]);
    } finally {
      await queryRunner.release();
    }
  });

  it('loses what a nested transaction enqueued when only that one is rolled back', async () => {
    const [outer, inner] = await dataSource.transaction(async (manager) => {
      const first = await app.queue.enqueue(Work, { n: 5 }, { manager });
      const nested: { id?: string } = {};
      await manager
        .transaction(async (savepoint) => {
          nested.id = (await app.queue.enqueue(Work, { n: 6 }, { manager: savepoint })).id;
          throw new Error('only this part');
        })
        .catch(() => undefined);
      return [first.id, nested.id ?? ''];
    });
    await jobIn('completed', app.queue, outer ?? '');
    expect(await app.queue.getJob(inner ?? '')).toBeNull();
    await workerHasLooked();
    expect(ran).toEqual([5]);
  });

  it('keeps what a released savepoint enqueued', async () => {
    const { id } = await dataSource.transaction(async (manager) =>
      manager.transaction(async (savepoint) => app.queue.enqueue(Work, { n: 7 }, { manager: savepoint })),
    );
    await jobIn('completed', app.queue, id);
    expect(ran).toEqual([7]);
  });

  it('commits and rolls back with a pg client', async () => {
    const client = await database.client();
    await client.query('BEGIN');
    const { id: lost } = await app.queue.enqueue(Work, { n: 8 }, { client });
    await client.query('ROLLBACK');
    await client.query('BEGIN');
    const { id: kept } = await app.queue.enqueue(Work, { n: 9 }, { client });
    expect(await app.queue.getJob(kept)).toBeNull();
    await client.query('COMMIT');
    await jobIn('completed', app.queue, kept);
    expect(await app.queue.getJob(lost)).toBeNull();
    expect(ran).toEqual([9]);
  });

  it.each(['REPEATABLE READ', 'SERIALIZABLE'] as const)('works under %s', async (isolation) => {
    const { id } = await dataSource.transaction(isolation, async (manager) =>
      app.queue.enqueue(Work, { n: 10 }, { manager }),
    );
    await jobIn('completed', app.queue, id);
    expect(ran).toEqual([10]);
  });

  it('needs no second connection of a pool that the transaction has exhausted', async () => {
    const tight = await new DataSource({ type: 'postgres', url: database.url, poolSize: 1 }).initialize();
    try {
      const onTight = await apps.start({ worker: false, dataSource: tight });
      const { id } = await tight.transaction(async (manager) =>
        onTight.queue.enqueue(Work, { n: 11 }, { manager }),
      );
      await jobIn('completed', app.queue, id);
      await onTight.close();
    } finally {
      await tight.destroy();
    }
    expect(ran).toEqual([11]);
  });
});
