import { defineJob, UNIQUE_STATES } from 'nestjs-awa';
import { DataSource } from 'typeorm';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { PgAdapter } from '../../lib/storage/adapters/pg.adapter.js';
import { cancelUniqueJob } from '../../lib/storage/operations/cancel-unique-job.js';
import { completeAttempts } from '../../lib/storage/operations/close-attempts.js';
import { SCHEMA } from '../support/storage-fixture.js';
import { deferred } from '../support/signals.js';
import { handlerOf, jobIn, type TestApp, useTestApps } from '../support/test-app.js';
import { useTestDatabase } from '../support/test-database.js';
import { enqueueUnique, useUniqueFixture } from '../support/unique-fixture.js';

interface Payload {
  readonly user: { readonly id: number; readonly name?: string };
}

const Sync = defineJob<Payload, 'sync'>('sync', { unique: { args: ['user.id'] } });
const Plain = defineJob<Payload, 'plain'>('plain');

describe('cancelling by the unique key', () => {
  const database = useTestDatabase();
  const apps = useTestApps(database);
  let dataSource: DataSource;
  let producer: TestApp;
  let id = 0;

  beforeAll(async () => {
    dataSource = await new DataSource({ type: 'postgres', url: database.url }).initialize();
  });

  afterAll(async () => {
    await dataSource.destroy();
  });

  beforeEach(async () => {
    id += 1;
    producer = await apps.start({ worker: false, queues: { default: {}, other: {} } });
  });

  const put = (options = {}) => producer.queue.enqueue(Sync, { user: { id, name: 'A' } }, options);
  // Another name: only what is in the key matters.
  const cancel = (options = {}) => producer.queue.cancelUniqueJob(Sync, { user: { id, name: 'B' } }, options);
  const state = async (jobId: string) => (await producer.queue.getJob(jobId))?.state;

  it('finds a job that waits, and frees its key', async () => {
    const job = await put();
    expect(await cancel({ reason: 'withdrawn' })).toEqual({
      jobId: job.id,
      result: 'cancelled',
      wasRunning: false,
    });
    const cancelled = await producer.queue.getJob(job.id);
    expect(cancelled).toMatchObject({ state: 'cancelled', errors: [{ error: 'withdrawn' }] });
    expect(await cancel()).toBeNull();
    expect((await put()).deduplicated).toBe(false);
  });

  it('finds one that waits for a time', async () => {
    const job = await put({ delay: 3_600_000 });
    expect(await cancel()).toEqual({ jobId: job.id, result: 'cancelled', wasRunning: false });
    expect(await state(job.id)).toBe('cancelled');
  });

  it('aborts the handler of one that runs', async () => {
    const began = deferred();
    const aborted = deferred<unknown>();
    const handler = handlerOf(Sync, async ({ args }, { signal }) => {
      // An earlier test's.
      if (args.user.id !== id) return;
      signal.addEventListener('abort', () => aborted.resolve(signal.reason));
      began.resolve();
      await aborted.promise;
    });
    await apps.start({ handlers: [handler] });
    const job = await put();
    await began.promise;
    expect(await cancel()).toEqual({ jobId: job.id, result: 'cancelled', wasRunning: true });
    expect(await aborted.promise).toBeInstanceOf(Error);
    expect(await state(job.id)).toBe('cancelled');
  });

  it('says of a job that holds its key after its end that it is finished, and leaves it the key', async () => {
    const unique = { args: ['user.id'], states: [...UNIQUE_STATES, 'completed'] as const };
    const job = await put({ unique });
    const worker = await apps.start({ handlers: [handlerOf(Sync, () => undefined)] });
    await jobIn('completed', producer.queue, job.id);
    await worker.close();
    expect(await cancel()).toEqual({ jobId: job.id, result: 'finished', wasRunning: false });
    expect(await state(job.id)).toBe('completed');
    expect(await put({ unique })).toEqual({ id: job.id, deduplicated: true });
  });

  it('finds nothing where there is nothing, and leaves the others alone', async () => {
    const other = await producer.queue.enqueue(Sync, { user: { id: id + 1_000_000 } });
    expect(await cancel()).toBeNull();
    expect(await state(other.id)).toBe('available');
  });

  it('takes the key from the options that the job was enqueued with', async () => {
    const unique = { args: true, queue: true, period: 86_400_000 * 365 } as const;
    const args = { user: { id } };
    const job = await producer.queue.enqueue(Plain, args, { unique, queue: 'other' });
    const options = { unique: { ...unique, states: UNIQUE_STATES }, queue: 'other' };
    expect(await producer.queue.cancelUniqueJob(Plain, args, { unique })).toBeNull();
    expect(await producer.queue.cancelUniqueJob(Plain, args, { ...options, unique: {} })).toBeNull();
    expect(await producer.queue.cancelUniqueJob(Plain, args, options)).toMatchObject({
      jobId: job.id,
      result: 'cancelled',
    });
  });

  it('belongs to the transaction of the caller, who can enqueue anew in it', async () => {
    const first = await put();
    const failing = dataSource.transaction(async (manager) => {
      expect(await cancel({ manager })).toMatchObject({ jobId: first.id, result: 'cancelled' });
      expect((await put({ manager })).deduplicated).toBe(false);
      throw new Error('changed my mind');
    });
    await expect(failing).rejects.toThrow('changed my mind');
    expect(await state(first.id)).toBe('available');
    expect(await put()).toEqual({ id: first.id, deduplicated: true });

    const second = await dataSource.transaction(async (manager) => {
      await cancel({ manager });
      const own = await put({ manager });
      expect(await cancel({ manager })).toMatchObject({ jobId: own.id, result: 'cancelled' });
      return put({ manager });
    });
    expect([await state(first.id), await state(second.id)]).toEqual(['cancelled', 'available']);
  });

  it('is refused, before a statement runs, for what can have no key', async () => {
    const { queue } = producer;
    await expect(queue.cancelUniqueJob(Plain, { user: { id } })).rejects.toMatchObject({
      code: 'AWA_INVALID_OPTIONS',
      problems: [expect.stringContaining('not unique')],
    });
    await expect(cancel({ unique: { args: [] }, queue: '', reason: 1, states: [] })).rejects.toMatchObject({
      problems: { length: 4 },
    });
  });

  it('is refused in a transaction of one snapshot', async () => {
    await put();
    await dataSource.transaction('REPEATABLE READ', async (manager) => {
      await expect(cancel({ manager })).rejects.toMatchObject({ code: 'AW002' });
    });
    expect(await cancel()).toMatchObject({ result: 'cancelled' });
  });
});

describe('a key that moves while its holder is cancelled', () => {
  const database = useTestDatabase();
  const fixture = useUniqueFixture(database);
  const cancel = (text: string) =>
    cancelUniqueJob(fixture.port, SCHEMA, { key: fixture.key(text), periodMs: undefined }, 'no');

  it('is followed to the job that has it then', async () => {
    const { id, jobs } = await fixture.putAndClaim('a');
    const closer = await database.client();
    await closer.query('BEGIN');
    await completeAttempts(new PgAdapter(closer), SCHEMA, jobs);
    const [next] = await enqueueUnique(new PgAdapter(closer), [fixture.job('a')]);
    const cancelling = cancel('a');
    await fixture.waiting(1);
    await closer.query('COMMIT');
    expect(await cancelling).toEqual({ jobId: next!.id, result: 'cancelled', wasRunning: false });
    expect([await fixture.state(id), await fixture.state(next!.id)]).toEqual(['completed', 'cancelled']);
    expect(await fixture.holder('a')).toBeUndefined();
  });

  it('and is free then: the answer is the job that ended', async () => {
    const { id, jobs } = await fixture.putAndClaim('a');
    const closer = await database.client();
    await closer.query('BEGIN');
    await completeAttempts(new PgAdapter(closer), SCHEMA, jobs);
    const cancelling = cancel('a');
    await fixture.waiting(1);
    await closer.query('COMMIT');
    expect(await cancelling).toEqual({ jobId: id, result: 'finished', wasRunning: false });
  });
});
