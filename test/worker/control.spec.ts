import { AsyncLocalStorage } from 'node:async_hooks';

import { AwaWorker, defineJob, NotStartedError } from 'nestjs-awa';
import { describe, expect, it } from 'vitest';

import { FaultProxy } from '../support/fault-proxy.js';
import { deferred } from '../support/signals.js';
import { failOnUnhandled, handlerOf, jobIn, type TestApp, useTestApps } from '../support/test-app.js';
import { useTestDatabase } from '../support/test-database.js';

const Work = defineJob<number, 'work'>('work');

describe('the worker, controlled by hand', () => {
  failOnUnhandled();
  const database = useTestDatabase();
  const apps = useTestApps(database);

  async function start(
    handle: (n: number) => unknown = () => undefined,
    autoStart = false,
    url = database.url,
  ) {
    const handlers = [handlerOf(Work, ({ args }) => handle(args))];
    const started = await apps.start({ url, handlers, worker: { autoStart, pollIntervalMs: 10 } });
    return { ...started, worker: started.app.get(AwaWorker) };
  }

  async function completed({ queue }: TestApp, n: number): Promise<void> {
    const { id } = await queue.enqueue(Work, n);
    await jobIn('completed', queue, id);
  }

  /** Connections and registered processes of workers. */
  async function traces(): Promise<number> {
    const { rows } = await database.query<{ traces: number }>(
      `SELECT (SELECT count(*)::int FROM awa.runtime_instances) + (SELECT count(*)::int FROM pg_stat_activity
         WHERE datname = current_database() AND application_name IN ('awa worker', 'awa listener', 'awa maintenance')) AS traces`,
    );
    return rows[0]?.traces ?? Number.NaN;
  }

  it('starts when told to, stops without a trace, and starts again', async () => {
    const app = await start();
    const { worker } = app;
    expect(worker.state).toBe('idle');
    expect(await traces()).toBe(0);
    for (let round = 1; round <= 3; round++) {
      const starting = worker.start();
      await starting;
      expect(worker.state).toBe('running');
      await completed(app, round);
      await worker.stop();
      expect(worker.state).toBe('stopped');
      expect(await traces()).toBe(0);
      const { id } = await app.queue.enqueue(Work, round);
      expect(await app.queue.cancelJob(id)).toMatchObject({ result: 'cancelled' });
    }
  });

  it('paused, begins nothing, and lets run what runs', async () => {
    const running = deferred();
    const go = deferred();
    const begun: number[] = [];
    const { worker, queue } = await start((n) => {
      begun.push(n);
      if (n !== 1) return undefined;
      running.resolve();
      return go.promise;
    }, true);
    const { id } = await queue.enqueue(Work, 1);
    await running.promise;
    await worker.pause();
    expect(worker.state).toBe('paused');
    const waiting = await queue.enqueueMany(Work, [2, 3]);
    go.resolve();
    // Its result is stored, so results are not held up, and by then 2 and 3 had been notified.
    await jobIn('completed', queue, id);
    expect(begun).toEqual([1]);
    await worker.resume();
    expect(worker.state).toBe('running');
    for (const job of waiting) await jobIn('completed', queue, job.id);
  });

  it('takes calls in any order, any number of times, and at the same time', async () => {
    const app = await start();
    const { worker } = app;
    await worker.stop();
    await worker.resume();
    await worker.pause();
    await worker.pause();
    expect(worker.state).toBe('idle');
    await worker.start();
    expect(worker.state).toBe('paused');
    const { id } = await app.queue.enqueue(Work, 1);
    await Promise.all([
      worker.stop(),
      worker.start(),
      worker.start(),
      worker.pause(),
      worker.stop(),
      worker.start(),
    ]);
    expect(worker.state).toBe('paused');
    expect(await app.queue.getJob(id)).toMatchObject({ state: 'available', attempt: 0 });
    await Promise.all([worker.resume(), worker.pause(), worker.resume()]);
    await jobIn('completed', app.queue, id);
    const { rows } = await database.query('SELECT FROM awa.runtime_instances');
    expect(rows).toHaveLength(1);
  });

  it('can be started again when a start failed for want of a database', async () => {
    const proxy = await FaultProxy.open(database.url);
    const app = await start(undefined, false, proxy.url);
    proxy.cut({ refuse: true });
    await expect(app.worker.start()).rejects.toMatchObject({ code: 'AWA_DATABASE_UNAVAILABLE' });
    expect(app.worker.state).toBe('idle');
    proxy.cut();
    await app.worker.start();
    await completed(app, 1);
    await app.close();
    await proxy.close();
  });

  it('cannot be started without a worker, nor when the application has closed', async () => {
    const producer = await apps.start({ worker: false });
    const off = producer.app.get(AwaWorker);
    expect(off.state).toBe('off');
    await expect(off.start()).rejects.toThrow(NotStartedError);
    await Promise.all([off.pause(), off.resume(), off.stop()]);

    const closed = await start(undefined, true);
    const { worker } = closed;
    const closing = closed.close();
    const restarting = worker.start().catch((error: unknown) => error);
    await closing;
    await restarting;
    expect(worker.state).toBe('stopped');
    await expect(worker.start()).rejects.toThrow(NotStartedError);
    expect(await traces()).toBe(0);
  });

  it('does not take along the context in which it is started', async () => {
    const storage = new AsyncLocalStorage<string>();
    const seen: unknown[] = [];
    const app = await start(() => seen.push(storage.getStore()));
    await storage.run('a request', async () => app.worker.start());
    await completed(app, 1);
    expect(seen).toEqual([undefined]);
  });
});
