import { Injectable, type OnModuleDestroy, type Type } from '@nestjs/common';
import { defineJob, type Job, type JobDefinition, JobHandler, QueueService } from 'nestjs-awa';
import { beforeEach, describe, expect, it } from 'vitest';

import { jobCounts } from '../support/job-counts.js';
import { deferred, until } from '../support/signals.js';
import {
  failOnUnhandled,
  handlerOf,
  jobIn,
  type TestApp,
  type TestAppOptions,
  useTestApps,
} from '../support/test-app.js';
import { useTestDatabase } from '../support/test-database.js';

describe('a shutdown', () => {
  failOnUnhandled();
  const database = useTestDatabase();
  const apps = useTestApps(database);
  // Queues of its own for each test.
  let Work: JobDefinition<number, number>;
  let Follow: JobDefinition<number, number>;
  let tests = 0;
  let producer: TestApp;

  beforeEach(async () => {
    const queue = `test ${++tests}`;
    Work = defineJob<number>('work', { queue });
    Follow = defineJob<number>('follow', { queue });
    producer = await apps.start({ worker: false, queues: { [queue]: {} } });
  });

  async function start(options: TestAppOptions): Promise<TestApp> {
    return apps.start({ queues: { [Work.queue]: {} }, ...options });
  }

  async function instances(): Promise<number> {
    const { rows } = await database.query<{ alive: number }>(
      'SELECT count(*)::int AS alive FROM awa.runtime_instances',
    );
    return rows[0]?.alive ?? Number.NaN;
  }

  /** A provider that says when the worker claims no more: it is the first to be told of a shutdown. */
  function drainSignal(): { readonly provider: Type; readonly begun: Promise<void> } {
    const begun = deferred();
    @Injectable()
    class Signal implements OnModuleDestroy {
      onModuleDestroy(): void {
        begun.resolve();
      }
    }
    return { provider: Signal, begun: begun.promise };
  }

  it('lets running handlers finish and enqueue, and leaves new jobs to others', async () => {
    const { provider, begun } = drainSignal();
    const started = deferred();
    const followers: string[] = [];

    @JobHandler(Work)
    class Handler {
      constructor(private readonly queue: QueueService) {}

      async handle({ args }: Job<number>) {
        started.resolve();
        await begun;
        for (let n = 0; n < 3; n++) followers.push((await this.queue.enqueue(Follow, args)).id);
      }
    }
    let followed = 0;
    const worker = await start({
      handlers: [Handler, provider, handlerOf(Follow, () => (followed += 1))],
    });
    const { id } = await producer.queue.enqueue(Work, 1);
    await started.promise;
    await worker.close();

    expect(await producer.queue.getJob(id)).toMatchObject({ state: 'completed', attempt: 1 });
    expect(followers).toHaveLength(3);
    for (const follower of followers) {
      expect(await producer.queue.getJob(follower)).toMatchObject({ state: 'available', runLease: 0 });
    }
    expect(followed).toBe(0);
    expect(await instances()).toBe(0);

    await start({ handlers: [handlerOf(Follow, () => (followed += 1))] });
    for (const follower of followers) await jobIn('completed', producer.queue, follower);
    expect(followed).toBe(3);
  });

  it('makes every result durable, of a large backlog too', async () => {
    let runs = 0;
    const worker = await apps.start({
      queues: { [Work.queue]: { maxWorkers: 20 } },
      handlers: [handlerOf(Work, () => (runs += 1))],
    });
    const jobs = await producer.queue.enqueueMany(
      Work,
      Array.from({ length: 3_000 }, (_, n) => n),
    );
    await until(async () => runs > 200, { what: 'the first jobs' });
    await worker.close();
    const { rows } = await database.query<{ state: string; jobs: number }>(
      `SELECT j.state, count(*)::int AS jobs FROM unnest($1::bigint[]) AS id
       CROSS JOIN LATERAL awa.get_job(id) j GROUP BY j.state ORDER BY j.state DESC`,
      [jobs.map(({ id }) => id)],
    );
    expect(rows[0]).toEqual({ state: 'completed', jobs: runs });
    expect(rows.filter(({ state }) => state === 'running')).toEqual([]);
    await start({ handlers: [handlerOf(Work, () => (runs += 1))] });
    await until(async () => (await jobCounts(producer.queue, Work.queue)).available === 0, {
      what: 'the rest',
    });
  });

  it('aborts what takes too long, and hands the job back without counting the attempt', async () => {
    const [started, reason] = [deferred(), deferred<unknown>()];
    const worker = await start({
      worker: { shutdownTimeoutMs: 50 },
      handlers: [
        handlerOf(Work, async (_, { signal }) => {
          started.resolve();
          await new Promise((_resolve, reject) => {
            signal.addEventListener('abort', () => {
              reason.resolve(signal.reason);
              reject(signal.reason as Error);
            });
          });
        }),
      ],
    });
    const { id } = await producer.queue.enqueue(Work, 1, { maxAttempts: 1 });
    await started.promise;
    await worker.close();
    expect(await reason.promise).toMatchObject({ name: 'AbortError' });
    const handedBack = await producer.queue.getJob(id);
    expect(handedBack).toMatchObject({ state: 'available', attempt: 0, runLease: 1, errors: [] });

    await start({ handlers: [handlerOf(Work, () => undefined)] });
    expect(await jobIn('completed', producer.queue, id)).toMatchObject({ attempt: 1, runLease: 2 });
  });

  it.each([
    ['returns', async () => undefined],
    ['rejects', async () => Promise.reject(new Error('too late'))],
  ])('hands back the job of a handler that ignores the abort and %s after all', async (_, end) => {
    const [started, gate, ended] = [deferred(), deferred(), deferred()];
    const worker = await start({
      worker: { shutdownTimeoutMs: 0 },
      handlers: [
        handlerOf(Work, async () => {
          started.resolve();
          await gate.promise;
          ended.resolve();
          return end();
        }),
      ],
    });
    const { id } = await producer.queue.enqueue(Work, 1, { maxAttempts: 1 });
    await started.promise;
    await worker.close();
    const handedBack = { state: 'available', attempt: 0, runLease: 1, errors: [] };
    expect(await producer.queue.getJob(id)).toMatchObject(handedBack);
    expect(await instances()).toBe(0);

    gate.resolve();
    await ended.promise;
    expect(await producer.queue.getJob(id)).toMatchObject(handedBack);
    await start({ handlers: [handlerOf(Work, () => undefined)] });
    expect(await jobIn('completed', producer.queue, id)).toMatchObject({ attempt: 1, runLease: 2 });
  });

  it('keeps a result that a handler brings after the abort', async () => {
    const started = deferred();
    const worker = await start({
      worker: { shutdownTimeoutMs: 0 },
      handlers: [
        handlerOf(Work, async (_, { signal }) => {
          started.resolve();
          await new Promise((resolve) => {
            signal.addEventListener('abort', resolve);
          });
        }),
      ],
    });
    const { id } = await producer.queue.enqueue(Work, 1);
    await started.promise;
    await worker.close();
    expect(await producer.queue.getJob(id)).toMatchObject({ state: 'completed', attempt: 1 });
  });

  it('may be asked for twice, and right after the start', async () => {
    const worker = await start({ handlers: [handlerOf(Work, () => undefined)] });
    await Promise.all([worker.app.close(), worker.app.close()]);
    expect(await instances()).toBe(0);
  });

  it('loses nothing in a series of restarts', async () => {
    const runs: number[] = [];
    const numbers = Array.from({ length: 400 }, (_, n) => n);
    const jobs = await producer.queue.enqueueMany(Work, numbers);
    for (let round = 0; round < 8; round++) {
      const before = runs.length;
      const worker = await apps.start({
        queues: { [Work.queue]: { maxWorkers: 3 } },
        handlers: [handlerOf(Work, ({ args }) => runs.push(args))],
      });
      await until(async () => runs.length > before || runs.length >= 400, { what: 'some work' });
      await worker.close();
    }
    await start({ handlers: [handlerOf(Work, ({ args }) => runs.push(args))] });
    for (const { id } of jobs)
      expect(await jobIn('completed', producer.queue, id)).toMatchObject({ attempt: 1 });
    expect(runs.toSorted((a, b) => a - b)).toEqual(numbers);
  });
});
