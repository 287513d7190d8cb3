import { defineJob, type Job } from 'nestjs-awa';
import { beforeEach, describe, expect, it } from 'vitest';

import { deferred } from '../support/signals.js';
import { handlerOf, jobIn, type TestApp, useTestApps } from '../support/test-app.js';
import { useTestDatabase } from '../support/test-database.js';

const Plain = defineJob<string, 'plain'>('plain');
const Tagged = defineJob<string, 'tagged'>('tagged', { tags: ['own'], maxAttempts: 7, priority: 3 });

const MINUTE = 60_000;

describe('options of an enqueue', () => {
  const database = useTestDatabase();
  const apps = useTestApps(database);
  let producer: TestApp;

  beforeEach(async () => {
    producer = await apps.start({ worker: false });
  });

  it('schedules what is due later', async () => {
    const runAt = new Date(Date.now() + MINUTE);
    const { id: byDate } = await producer.queue.enqueue(Plain, 'date', { runAt });
    const { id: byDelay } = await producer.queue.enqueue(Plain, 'delay', { delay: MINUTE });
    expect(await producer.queue.getJob(byDate)).toMatchObject({ state: 'scheduled', runAt });
    const delayed = await producer.queue.getJob(byDelay);
    expect(delayed?.state).toBe('scheduled');
    expect(delayed?.runAt.getTime()).toBe((delayed?.createdAt.getTime() ?? 0) + MINUTE);
  });

  it('runs at once what was due in the past, and keeps when that was', async () => {
    const runAt = new Date('2001-02-03T04:05:06.789Z');
    const { id } = await producer.queue.enqueue(Plain, 'late', { runAt });
    const { id: now } = await producer.queue.enqueue(Plain, 'now', { delay: 0 });
    expect(await producer.queue.getJob(id)).toMatchObject({ state: 'available', runAt });
    expect(await producer.queue.getJob(now)).toMatchObject({ state: 'available' });
    await apps.start({ handlers: [handlerOf(Plain, () => undefined)] });
    await jobIn('completed', producer.queue, id);
    await jobIn('completed', producer.queue, now);
  });

  it('runs what was scheduled when it is due, and not before', async () => {
    const seen = deferred<Job<string>>();
    await apps.start({ handlers: [handlerOf(Plain, (job) => seen.resolve(job))] });
    const { id } = await producer.queue.enqueue(Plain, 'soon', { delay: 300 });
    const job = await seen.promise;
    const { attemptedAt, createdAt } = await jobIn('completed', producer.queue, id);
    expect((attemptedAt?.getTime() ?? 0) - createdAt.getTime()).toBeGreaterThanOrEqual(300);
    expect(job.runAt.getTime() - job.createdAt.getTime()).toBe(300);
    expect(job.attempt).toBe(1);
  });

  it('claims the more urgent first', async () => {
    const order: string[] = [];
    for (const priority of [4, 2, 3, 1] as const) {
      await producer.queue.enqueue(Plain, `${priority}a`, { priority });
      await producer.queue.enqueue(Plain, `${priority}b`, { priority });
    }
    const last = deferred();
    await apps.start({
      queues: { default: { maxWorkers: 1 } },
      handlers: [
        handlerOf(Plain, ({ args }) => {
          if (order.push(args) === 8) last.resolve();
        }),
      ],
    });
    await last.promise;
    expect(order).toEqual(['1a', '1b', '2a', '2b', '3a', '3b', '4a', '4b']);
  });

  it('brings the options to the handler and to getJob', async () => {
    const seen = deferred<Job<string>>();
    const metadata = { trace: 'x', nested: { list: [1, null, 'é😀'] }, ['__proto__']: 1 };
    const { id } = await producer.queue.enqueue(Tagged, 'all', {
      priority: 1,
      maxAttempts: 1000,
      metadata,
      tags: ['own', 'added', 'ünïcödé'],
    });
    const expected = {
      id,
      kind: 'tagged',
      queue: 'default',
      priority: 1,
      maxAttempts: 1000,
      metadata,
      tags: ['own', 'added', 'ünïcödé'],
      errors: [],
    };
    expect(await producer.queue.getJob(id)).toMatchObject({ ...expected, state: 'available', attempt: 0 });
    await apps.start({ handlers: [handlerOf(Tagged, (job) => seen.resolve(job))] });
    expect(await seen.promise).toMatchObject({ ...expected, attempt: 1, runLease: 1 });
    expect(await jobIn('completed', producer.queue, id)).toMatchObject({ ...expected, attempt: 1 });
  });

  it('takes what is left out from the definition', async () => {
    const { id } = await producer.queue.enqueue(Tagged, 'own');
    expect(await producer.queue.getJob(id)).toMatchObject({
      priority: 3,
      maxAttempts: 7,
      tags: ['own'],
      metadata: {},
    });
  });
});
