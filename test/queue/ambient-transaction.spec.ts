import { AsyncLocalStorage } from 'node:async_hooks';

import { defineJob, InvalidOptionsError } from 'nestjs-awa';
import { DataSource, type EntityManager } from 'typeorm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { handlerOf, jobIn, type TestApp, useTestApps } from '../support/test-app.js';
import { useTestDatabase } from '../support/test-database.js';

const Work = defineJob<number, 'work'>('work', { unique: { args: true } });

/** What nestjs-cls' `@Transactional()` does with TypeORM: `tx` is the manager of the transaction, or that of the DataSource. */
class TransactionHost {
  private readonly storage = new AsyncLocalStorage<EntityManager>();

  constructor(private readonly dataSource: DataSource) {}

  get tx(): EntityManager {
    return this.storage.getStore() ?? this.dataSource.manager;
  }

  async withTransaction<Result>(work: () => Promise<Result>): Promise<Result> {
    return this.dataSource.transaction((manager) => this.storage.run(manager, work));
  }
}

describe('the option transaction', () => {
  const database = useTestDatabase();
  const apps = useTestApps(database);
  let dataSource: DataSource;
  let host: TransactionHost;

  beforeAll(async () => {
    dataSource = await new DataSource({ type: 'postgres', url: database.url }).initialize();
    host = new TransactionHost(dataSource);
  });

  afterAll(async () => {
    await dataSource.destroy();
  });

  const start = async (): Promise<TestApp> => apps.start({ worker: false, transaction: () => host.tx });

  async function rollBack(work: () => Promise<void>): Promise<void> {
    const rolledBack = host.withTransaction(async () => {
      await work();
      throw new Error('rolled back');
    });
    await expect(rolledBack).rejects.toThrow('rolled back');
  }

  it('makes calls part of the transaction that surrounds them', async () => {
    const { queue } = await start();
    let ids: string[] = [];
    const enqueue = async (n: number) => {
      const jobs = [
        await queue.enqueue(Work, n),
        ...(await queue.enqueueMany(Work, [n + 1, n + 2], { unique: false })),
      ];
      ids = jobs.map(({ id }) => id);
      for (const id of ids) expect(await queue.getJob(id)).toBeNull();
    };
    await rollBack(() => enqueue(1));
    for (const id of ids) expect(await queue.getJob(id)).toBeNull();
    await host.withTransaction(() => enqueue(1));
    for (const id of ids) expect(await queue.getJob(id)).toMatchObject({ state: 'available' });

    await rollBack(async () => {
      expect(await queue.cancelJob(ids[0]!)).toMatchObject({ result: 'cancelled' });
      // The key is free in this transaction, and in no other.
      expect(await queue.cancelUniqueJob(Work, 1)).toBeNull();
    });
    expect(await queue.getJob(ids[0]!)).toMatchObject({ state: 'available' });
  });

  it('takes a query runner too', async () => {
    const runner = dataSource.createQueryRunner();
    const { queue } = await apps.start({ worker: false, transaction: () => runner });
    const { id: before } = await queue.enqueue(Work, 10);
    expect(await queue.getJob(before)).not.toBeNull();
    await runner.startTransaction();
    const { id } = await queue.enqueue(Work, 11);
    expect(await queue.getJob(id)).toBeNull();
    await runner.commitTransaction();
    await runner.release();
    expect(await queue.getJob(id)).not.toBeNull();
  });

  it('leaves calls alone that name a transaction, or are in none', async () => {
    const { queue } = await start();
    const ids: string[] = [];
    ids.push((await queue.enqueue(Work, 20)).id);
    await rollBack(async () => {
      ids.push((await queue.enqueue(Work, 21, { manager: dataSource.manager })).id);
    });
    for (const id of ids) expect(await queue.getJob(id)).not.toBeNull();
    const none = await apps.start({ worker: false, transaction: () => undefined });
    await host.withTransaction(async () => {
      const { id } = await none.queue.enqueue(Work, 22);
      expect(await queue.getJob(id)).not.toBeNull();
    });
  });

  it('must be a function', async () => {
    const starting = apps.start({ transaction: dataSource.manager as never });
    await expect(starting).rejects.toThrow(InvalidOptionsError);
    await expect(starting).rejects.toThrow('transaction must be a function');
  });

  it('works within a handler that begins a transaction of its own', async () => {
    const FollowUp = defineJob<number, 'follow-up'>('follow-up');
    let queue: TestApp['queue'] | undefined;
    const app = await apps.start({
      queues: { default: {}, later: {} },
      worker: { queues: ['default'] },
      dataSource,
      transaction: () => host.tx,
      handlers: [
        handlerOf(Work, async ({ args }, { completeIn }) =>
          host.withTransaction(async () => {
            await queue?.enqueue(FollowUp, args, { queue: 'later' });
            await completeIn(host.tx);
          }),
        ),
      ],
    });
    queue = app.queue;
    const { id } = await queue.enqueue(Work, 30);
    await jobIn('completed', queue, id);
    const { items } = await queue.listJobs({ kind: 'follow-up' });
    expect(items.filter(({ args }) => args === 30)).toHaveLength(1);
  });
});
