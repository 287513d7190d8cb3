import { cancel, defineJob, fail, InvalidOptionsError, type JobOutcome, retryAfter } from 'nestjs-awa';
import { beforeEach, describe, expect, it } from 'vitest';

import { deferred } from '../support/signals.js';
import { handlerOf, jobIn, type TestApp, useTestApps } from '../support/test-app.js';
import { useTestDatabase } from '../support/test-database.js';

const Work = defineJob<{ n: number }, 'work'>('work');

describe('getJob', () => {
  const database = useTestDatabase();
  const apps = useTestApps(database);
  let producer: TestApp;

  beforeEach(async () => {
    producer = await apps.start({ worker: false });
  });

  async function startWorker(handle: () => unknown): Promise<void> {
    await apps.start({ handlers: [handlerOf(Work, handle)] });
  }

  it('shows a scheduled job', async () => {
    const { id } = await producer.queue.enqueue(Work, { n: 1 }, { delay: 60_000 });
    expect(await producer.queue.getJob(id)).toStrictEqual({
      id,
      kind: 'work',
      queue: 'default',
      priority: 2,
      state: 'scheduled',
      args: { n: 1 },
      attempt: 0,
      maxAttempts: 25,
      runLease: 0,
      runAt: expect.any(Date),
      createdAt: expect.any(Date),
      attemptedAt: undefined,
      deadLetter: false,
      finalizedAt: undefined,
      metadata: {},
      tags: [],
      errors: [],
      progress: null,
      checkpoint: null,
    });
  });

  it('shows an available job', async () => {
    const { id } = await producer.queue.enqueue(Work, { n: 2 });
    const job = await producer.queue.getJob(id);
    expect(job).toMatchObject({ state: 'available', attempt: 0, runLease: 0, args: { n: 2 } });
    expect(job?.runAt).toEqual(job?.createdAt);
    expect([job?.attemptedAt, job?.finalizedAt]).toEqual([undefined, undefined]);
  });

  it('shows a running job, then a completed one', async () => {
    const [started, end] = [deferred(), deferred()];
    const { id } = await producer.queue.enqueue(Work, { n: 3 });
    await startWorker(async () => {
      started.resolve();
      await end.promise;
    });
    await started.promise;
    const running = await producer.queue.getJob(id);
    expect(running).toMatchObject({ state: 'running', attempt: 1, runLease: 1, finalizedAt: undefined });
    expect(running?.attemptedAt?.getTime()).toBeGreaterThanOrEqual(running?.createdAt.getTime() ?? 0);

    end.resolve();
    const completed = await jobIn('completed', producer.queue, id);
    expect(completed).toMatchObject({
      attempt: 1,
      runLease: 1,
      attemptedAt: running?.attemptedAt,
      errors: [],
    });
    expect(completed.finalizedAt?.getTime()).toBeGreaterThanOrEqual(running?.attemptedAt?.getTime() ?? 0);
  });

  it('shows a retryable job', async () => {
    const { id } = await producer.queue.enqueue(Work, { n: 4 });
    await startWorker(() => retryAfter(60_000, 'not yet'));
    const job = await jobIn('retryable', producer.queue, id);
    expect(job).toMatchObject({
      attempt: 1,
      runLease: 1,
      finalizedAt: undefined,
      errors: [{ attempt: 1, error: 'not yet' }],
    });
  });

  it.each<[state: 'failed' | 'cancelled', outcome: JobOutcome]>([
    ['failed', fail('no')],
    ['cancelled', cancel('no')],
  ])('shows a %s job', async (state, outcome) => {
    const { id } = await producer.queue.enqueue(Work, { n: 5 });
    await startWorker(() => outcome);
    const job = await jobIn(state, producer.queue, id);
    expect(job).toMatchObject({
      attempt: 1,
      runLease: 1,
      args: { n: 5 },
      errors: [{ error: 'no', terminal: true }],
    });
    expect(job.finalizedAt?.getTime()).toBeGreaterThanOrEqual(job.createdAt.getTime());
  });

  it('knows the state of each of many jobs claimed together', async () => {
    const jobs = await producer.queue.enqueueMany(
      Work,
      Array.from({ length: 60 }, (_, n) => ({ n })),
    );
    await apps.start({
      queues: { default: { maxWorkers: 20 } },
      handlers: [handlerOf(Work, ({ args: { n } }) => (n % 3 === 0 ? fail('third') : undefined))],
    });
    for (const [n, { id }] of jobs.entries()) {
      const job = await jobIn(n % 3 === 0 ? 'failed' : 'completed', producer.queue, id);
      expect(job.args).toEqual({ n });
    }
  });

  it.each([
    '0',
    '-1',
    '1.5',
    '',
    ' 1',
    '01',
    'abc',
    '0x10',
    '9223372036854775808',
    '1'.repeat(30),
    '1; DROP TABLE x',
  ])('refuses %j', async (id) => {
    await expect(producer.queue.getJob(id)).rejects.toBeInstanceOf(InvalidOptionsError);
  });

  it.each(['9223372036854775807', '999999999'])('knows no job %s', async (id) => {
    expect(await producer.queue.getJob(id)).toBeNull();
  });
});
