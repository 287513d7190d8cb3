import { defineJob, UNIQUE_STATES } from 'nestjs-awa';
import { DataSource } from 'typeorm';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { deferred, until } from '../support/signals.js';
import { handlerOf, jobIn, type TestApp, useTestApps } from '../support/test-app.js';
import { useTestDatabase } from '../support/test-database.js';

interface Payload {
  readonly user: { readonly id: number; readonly name?: string };
}

const Sync = defineJob<Payload, 'sync'>('sync', { unique: { args: ['user.id'] } });
const Plain = defineJob<Payload, 'plain'>('plain');

describe('unique jobs', () => {
  const database = useTestDatabase();
  const apps = useTestApps(database);
  let dataSource: DataSource;
  let producer: TestApp;
  let user = 0;

  beforeAll(async () => {
    dataSource = await new DataSource({ type: 'postgres', url: database.url }).initialize();
  });

  afterAll(async () => {
    await dataSource.destroy();
  });

  beforeEach(async () => {
    user += 1;
    producer = await apps.start({ worker: false, queues: { default: {}, other: {} } });
  });

  const put = (options = {}, name?: string) =>
    producer.queue.enqueue(Sync, { user: { id: user, ...(name === undefined ? {} : { name }) } }, options);
  const keys = async () =>
    (await database.query<{ keys: number }>('SELECT count(*)::int AS keys FROM awa.job_unique_claims'))
      .rows[0]?.keys;

  it('are enqueued once, and again when they have ended', async () => {
    const first = await put({}, 'A');
    expect(first.deduplicated).toBe(false);
    expect(await put({}, 'B')).toEqual({ id: first.id, deduplicated: true });
    const before = (await keys()) ?? 0;

    const release = deferred();
    const seen: string[] = [];
    const handler = handlerOf(Sync, async (job) => {
      seen.push(job.id);
      await release.promise;
    });
    await apps.start({ handlers: [handler] });
    await jobIn('running', producer.queue, first.id);
    expect(await put()).toEqual({ id: first.id, deduplicated: true });
    release.resolve();
    await jobIn('completed', producer.queue, first.id);
    expect(await keys()).toBe(before - 1);
    const second = await put();
    expect(second.deduplicated).toBe(false);
    await jobIn('completed', producer.queue, second.id);
    expect(seen).toEqual([first.id, second.id]);
  });

  it('keep their key from attempt to attempt', async () => {
    const second = deferred();
    const attempts: number[] = [];
    const { id } = await put();
    const handler = handlerOf(Sync, async ({ attempt }) => {
      attempts.push(attempt);
      if (attempt === 1) throw new Error('once more');
      await second.promise;
    });
    await apps.start({ handlers: [handler] });
    await jobIn('retryable', producer.queue, id);
    expect(await put()).toEqual({ id, deduplicated: true });
    await database.query('UPDATE awa.deferred_jobs SET run_at = now()');
    await until(() => Promise.resolve(attempts.length === 2), { what: 'the second attempt' });
    expect(await put()).toEqual({ id, deduplicated: true });
    second.resolve();
    await jobIn('completed', producer.queue, id);
    expect((await put()).deduplicated).toBe(false);
  });

  it('can hold it after the end', async () => {
    const options = { unique: { args: ['user.id'], states: [...UNIQUE_STATES, 'completed'] as const } };
    const { id } = await put(options);
    await apps.start({ handlers: [handlerOf(Sync, () => undefined)] });
    await jobIn('completed', producer.queue, id);
    expect(await put(options)).toEqual({ id, deduplicated: true });
  });

  it('are one in all queues, or one in each', async () => {
    const { id } = await put();
    expect(await put({ queue: 'other' })).toEqual({ id, deduplicated: true });
    const unique = { args: true, queue: true } as const;
    const here = await put({ unique });
    const there = await put({ unique, queue: 'other' });
    expect([here.deduplicated, there.deduplicated]).toEqual([false, false]);
    expect(await put({ unique, queue: 'other' })).toEqual({ id: there.id, deduplicated: true });
  });

  it('come in bulk, later ones with the id of the first', async () => {
    const args = [1, 2, 1, 3, 2].map((id) => ({ user: { id: user * 100 + id } }));
    const jobs = await producer.queue.enqueueMany(Sync, args);
    expect(jobs.map(({ deduplicated }) => deduplicated)).toEqual([false, false, true, false, true]);
    expect([jobs[2]?.id, jobs[4]?.id]).toEqual([jobs[0]?.id, jobs[1]?.id]);
    const again = await producer.queue.enqueueMany(Sync, args);
    expect(again).toEqual(jobs.map(({ id }) => ({ id, deduplicated: true })));
  });

  it('are not, when that is switched off', async () => {
    await put();
    expect((await put({ unique: false })).deduplicated).toBe(false);
    const plain = await producer.queue.enqueue(Plain, { user: { id: user } });
    expect(plain).toEqual({ id: plain.id, deduplicated: false });
  });

  it('belong to the transaction of the caller', async () => {
    const failing = dataSource.transaction(async (manager) => {
      expect((await put({ manager })).deduplicated).toBe(false);
      expect((await put({ manager })).deduplicated).toBe(true);
      throw new Error('changed my mind');
    });
    await expect(failing).rejects.toThrow('changed my mind');
    const { id } = await dataSource.transaction(async (manager) => {
      const job = await put({ manager });
      expect(job.deduplicated).toBe(false);
      return job;
    });
    expect(await put()).toEqual({ id, deduplicated: true });
  });

  it('leave the transaction usable when they are duplicates', async () => {
    const { id } = await put();
    const other = await dataSource.transaction(async (manager) => {
      expect(await put({ manager })).toEqual({ id, deduplicated: true });
      return producer.queue.enqueue(Plain, { user: { id: user } }, { manager });
    });
    expect(await producer.queue.getJob(other.id)).not.toBeNull();
  });

  it.each(['REPEATABLE READ', 'SERIALIZABLE'] as const)(
    'are an error of their own under %s when the other one is too new, and the transaction goes on',
    async (isolation) => {
      let visible = '';
      await dataSource.transaction(isolation, async (manager) => {
        await manager.query('SELECT count(*) FROM awa.queues');
        await put();
        await expect(put({ manager })).rejects.toMatchObject({ code: 'AWA_UNIQUE_CONFLICT', kind: 'sync' });
        visible = (await producer.queue.enqueue(Plain, { user: { id: user } }, { manager })).id;
      });
      expect(await producer.queue.getJob(visible)).not.toBeNull();
      await dataSource.transaction(isolation, async (manager) => {
        expect((await put({ manager })).deduplicated).toBe(true);
      });
    },
  );

  it('are claimed once by many who enqueue at the same time', async () => {
    const others = await Promise.all([1, 2, 3].map(() => apps.start({ worker: false })));
    const jobs = await Promise.all(
      [...others, ...others, ...others].map(({ queue }) => queue.enqueue(Sync, { user: { id: user } })),
    );
    expect(jobs.filter(({ deduplicated }) => !deduplicated)).toHaveLength(1);
    expect(new Set(jobs.map(({ id }) => id)).size).toBe(1);
  });
});
