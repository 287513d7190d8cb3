import { defineJob } from 'nestjs-awa';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { HandlerGate } from '../support/handler-gate.js';
import { jobCounts } from '../support/job-counts.js';
import { until } from '../support/signals.js';
import { handlerOf, jobIn, type TestApp, useTestApps } from '../support/test-app.js';
import { useTestDatabase } from '../support/test-database.js';

const A = defineJob<number, 'a'>('a', { queue: 'a' });
const B = defineJob<number, 'b'>('b', { queue: 'b' });

describe('a worker', () => {
  const database = useTestDatabase();
  const apps = useTestApps(database);
  let producer: TestApp;
  let a: HandlerGate;
  let b: HandlerGate;

  const handlers = () => [handlerOf(A, a.handle), handlerOf(B, b.handle)];
  const numbers = (length: number) => Array.from({ length }, (_, n) => n);

  beforeEach(async () => {
    producer = await apps.start({ worker: false, queues: { a: {}, b: {} } });
    [a, b] = [new HandlerGate(true), new HandlerGate(true)];
  });

  // Before the applications are closed, which would wait for what is held.
  afterEach(() => {
    a.open();
    b.open();
  });

  async function allCompleted(queue: 'a' | 'b', since = 0): Promise<void> {
    await until(
      async () => {
        const { available, running, completed } = await jobCounts(producer.queue, queue);
        return available === 0 && running === 0 && completed > since;
      },
      { what: `queue ${queue} being done` },
    );
  }

  it('never runs more than maxWorkers of a queue, and as many when there is work', async () => {
    await producer.queue.enqueueMany(A, numbers(100));
    await producer.queue.enqueueMany(B, numbers(100));
    a.close();
    b.close();
    await apps.start({ queues: { a: { maxWorkers: 3 }, b: { maxWorkers: 7 } }, handlers: handlers() });
    await until(async () => a.running === 3 && b.running === 7, { what: 'all workers being busy' });
    expect((await jobCounts(producer.queue, 'a')).running).toBe(3);
    expect((await jobCounts(producer.queue, 'b')).running).toBe(7);
    a.open();
    b.open();
    await allCompleted('a');
    await allCompleted('b');
    expect([a.most, b.most]).toEqual([3, 7]);
    expect(a.started.toSorted((x, y) => x - y)).toEqual(numbers(100));
  });

  it('goes on with one queue while all workers of the other are busy', async () => {
    const before = (await jobCounts(producer.queue, 'b')).completed;
    await producer.queue.enqueueMany(A, numbers(50));
    a.close();
    await apps.start({ queues: { a: { maxWorkers: 5 }, b: { maxWorkers: 2 } }, handlers: handlers() });
    await until(async () => a.running === 5, { what: 'queue a being saturated' });
    await producer.queue.enqueueMany(B, numbers(50));
    await allCompleted('b', before + 49);
    expect(a.started).toHaveLength(5);
    a.open();
    await allCompleted('a');
  });

  // The poll cannot help within the time of a test: freed workers must take the next jobs by themselves.
  it.each([
    ['and the other queue is idle', 0],
    ['and the other queue is busy', 1],
  ])('works off a backlog without polling, %s', async (_, busy) => {
    const before = (await jobCounts(producer.queue, 'a')).completed;
    await producer.queue.enqueueMany(A, numbers(60));
    // Longer than a claim, so that the worker has looked again before a slot is free.
    a.work = async () => database.query('SELECT pg_sleep(0.02)');
    b.close();
    if (busy > 0) await producer.queue.enqueueMany(B, [1]);
    await apps.start({
      queues: { a: { maxWorkers: 2 }, b: { maxWorkers: 1 } },
      worker: { pollIntervalMs: 60_000 },
      handlers: handlers(),
    });
    await allCompleted('a', before + 59);
    expect(a.started).toEqual(numbers(60));
    expect(b.running).toBe(busy);
  });

  it('takes priority 1 before 4, also from a backlog of 4', async () => {
    await producer.queue.enqueueMany(A, numbers(20), { priority: 4 });
    a.close();
    await apps.start({ queues: { a: { maxWorkers: 1 }, b: {} }, handlers: handlers() });
    await until(async () => a.running === 1, { what: 'the first job running' });
    await producer.queue.enqueueMany(A, [100, 101], { priority: 1 });
    await producer.queue.enqueueMany(A, [200], { priority: 3 });
    a.open();
    await allCompleted('a');
    expect(a.started).toEqual([0, 100, 101, 200, ...numbers(20).slice(1)]);
  });

  it('is strictly first in, first out in one lane with one worker', async () => {
    await apps.start({ queues: { a: { maxWorkers: 1 }, b: {} }, handlers: handlers() });
    for (let n = 0; n < 150; n += 3) {
      await producer.queue.enqueue(A, n);
      await producer.queue.enqueueMany(A, [n + 1, n + 2]);
    }
    await until(async () => a.started.length === 150, { what: 'all jobs having run' });
    expect(a.started).toEqual(numbers(150));
  });

  it('shares the work with others: each job runs once', async () => {
    const before = (await jobCounts(producer.queue, 'a')).completed;
    const queues = { a: { maxWorkers: 4 }, b: {} };
    for (let process = 0; process < 3; process++) await apps.start({ queues, handlers: handlers() });
    await producer.queue.enqueueMany(A, numbers(600));
    await allCompleted('a', before + 599);
    expect(a.started.toSorted((x, y) => x - y)).toEqual(numbers(600));
    const { rows } = await database.query('SELECT FROM awa.lease_claims WHERE NOT run_leases <@ ARRAY[1]');
    expect(rows).toEqual([]);
  });

  it('sees a job of a transaction that commits late, after younger ones were claimed', async () => {
    await apps.start({ queues: { a: {}, b: {} }, handlers: handlers() });
    const client = await database.client();
    await client.query('BEGIN');
    const { id } = await producer.queue.enqueue(A, -1, { client });
    for (let n = 0; n < 5; n++) {
      const younger = await producer.queue.enqueue(A, n);
      await jobIn('completed', producer.queue, younger.id);
    }
    await client.query('COMMIT');
    await jobIn('completed', producer.queue, id);
    expect(a.started).toEqual([0, 1, 2, 3, 4, -1]);
  });
});
