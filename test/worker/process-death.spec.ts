import { type Job, JobHandler, type TransactionalJobContext } from 'nestjs-awa';
import { DataSource } from 'typeorm';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { until } from '../support/signals.js';
import { handlerOf, jobIn, type TestApp, type TestAppOptions, useTestApps } from '../support/test-app.js';
import { useTestDatabase } from '../support/test-database.js';
import { WorkerBuild, type WorkerProcess } from './worker-process.js';
import { Exact, Fatal, Held, Poison } from './worker-program.js';

describe('a worker process', () => {
  const database = useTestDatabase();
  const apps = useTestApps(database);
  const processes: WorkerProcess[] = [];
  let build: WorkerBuild;
  let producer: TestApp;

  beforeAll(async () => {
    build = await WorkerBuild.make();
  });

  afterAll(async () => {
    await build.remove();
  });

  beforeEach(async () => {
    producer = await apps.start({ worker: false, queues: { work: {} } });
  });

  afterEach(async () => {
    await Promise.all(processes.splice(0).map(async (worker) => worker.kill()));
  });

  async function startProcess(): Promise<WorkerProcess> {
    const worker = await build.start(database.url);
    processes.push(worker);
    return worker;
  }

  /** A worker in this process, which looks for the dead several times a second, and is not easily taken for one. */
  async function startRescuer(options: TestAppOptions = {}): Promise<TestApp> {
    const worker = { heartbeatIntervalMs: 200, heartbeatStaleMs: 20_000 };
    return apps.start({ queues: { work: {} }, worker, ...options });
  }

  async function started(worker: WorkerProcess, id: string): Promise<void> {
    const isStart = (message: { type: string; jobId?: string }) =>
      message.type === 'started' && message.jobId === id;
    await worker.heard(isStart, `job ${id} being started by the process`);
  }

  async function completions(id: string): Promise<number> {
    const { rows } = await database.query<{ times: number }>(
      'SELECT count(*)::int AS times FROM awa.completion_batches, unnest(job_ids) AS job_id WHERE job_id = $1',
      [id],
    );
    return rows[0]?.times ?? Number.NaN;
  }

  it('that is killed: its jobs are rescued, counted, and each run by exactly one other', async () => {
    const worker = await startProcess();
    const jobs = await producer.queue.enqueueMany(Held, [1, 2, 3, 4, 5]);
    for (const { id } of jobs) await started(worker, id);
    const runs: { readonly id: string; readonly attempt: number; readonly runLease: number }[] = [];
    const handler = handlerOf(Held, ({ id, attempt, runLease }) => runs.push({ id, attempt, runLease }));
    for (let rescuer = 0; rescuer < 3; rescuer++) await startRescuer({ handlers: [handler] });
    expect(runs).toEqual([]);

    await worker.kill();
    for (const { id } of jobs) {
      const job = await jobIn('completed', producer.queue, id, 20_000);
      expect(job).toMatchObject({ attempt: 2, runLease: 2, errors: [{ attempt: 1, terminal: false }] });
      expect(job.errors[0]?.error).toContain('the worker that ran this attempt is gone');
      expect(await completions(id)).toBe(1);
    }
    const expected = jobs.map(({ id }) => ({ id, attempt: 2, runLease: 2 }));
    expect(runs.toSorted((a, b) => Number(a.id) - Number(b.id))).toEqual(expected);
  });

  it('that is killed after a checkpoint: the next attempt goes on from there', async () => {
    const worker = await startProcess();
    const { id } = await producer.queue.enqueue(Fatal, 1);
    expect(await worker.ended()).toBe('SIGKILL');
    const seen: unknown[] = [];
    const handler = handlerOf(Fatal, ({ checkpoint, progress }) => seen.push(checkpoint, progress));
    expect(await producer.queue.getJob(id)).toMatchObject({ state: 'running', checkpoint: { next: 5 } });
    await startRescuer({ handlers: [handler] });
    await jobIn('completed', producer.queue, id, 20_000);
    expect(seen).toEqual([{ next: 5 }, { percent: 40, message: 'four of ten', updatedAt: expect.any(Date) }]);
    expect((await database.query('SELECT FROM awa.attempt_state')).rowCount).toBe(0);
  });

  it.each(['written', 'committing'] as const)(
    'that is killed in a transactional handler (%s): the effect is that of the next attempt, once',
    async (when) => {
      await database.query(
        'CREATE TABLE IF NOT EXISTS public.effects (job_id bigint, run_lease int); GRANT ALL ON public.effects TO PUBLIC',
      );
      const worker = await startProcess();
      const { id } = await producer.queue.enqueue(Exact, when);
      expect(await worker.ended()).toBe('SIGKILL');
      const { rows: rolledBack } = await database.query('SELECT FROM public.effects WHERE job_id = $1', [id]);
      expect(rolledBack).toEqual([]);

      class Handler {
        async handle({ runLease }: Job<string>, { manager }: TransactionalJobContext): Promise<void> {
          await manager.query('INSERT INTO public.effects (job_id, run_lease) VALUES ($1, $2)', [
            id,
            runLease,
          ]);
        }
      }
      JobHandler(Exact, { transactional: true })(Handler);
      const dataSource = await new DataSource({ type: 'postgres', url: database.url }).initialize();
      const rescuer = await startRescuer({ handlers: [Handler], dataSource });
      await jobIn('completed', producer.queue, id, 20_000);
      await rescuer.close();
      await dataSource.destroy();
      const { rows } = await database.query('SELECT run_lease FROM public.effects WHERE job_id = $1', [id]);
      expect(rows).toEqual([{ run_lease: 2 }]);
      expect(await completions(id)).toBe(1);
    },
  );

  it('that stands still until it is given up, and goes on: its late result is refused, and it works on', async () => {
    const worker = await startProcess();
    const { id } = await producer.queue.enqueue(Held, 1);
    await started(worker, id);
    worker.signal('SIGSTOP');
    let runs = 0;
    const rescuer = await startRescuer({ handlers: [handlerOf(Held, () => (runs += 1))] });
    await jobIn('completed', producer.queue, id, 20_000);
    await rescuer.close();

    worker.signal('SIGCONT');
    await worker.heard((message) => message.type === 'aborted', 'the abort of what was taken over');
    worker.order('finish');
    await worker.heard(
      (message) => message.type === 'log' && message.line.includes('had been taken away'),
      'the late result being refused',
    );
    expect(await producer.queue.getJob(id)).toMatchObject({ state: 'completed', attempt: 2, runLease: 2 });
    expect(await completions(id)).toBe(1);
    expect(runs).toBe(1);

    const { id: next } = await producer.queue.enqueue(Held, 2);
    await started(worker, next);
    worker.order('finish');
    expect(await jobIn('completed', producer.queue, next)).toMatchObject({ attempt: 1, runLease: 1 });
  });

  it('that ends on SIGTERM finishes its jobs first', async () => {
    const worker = await startProcess();
    const { id } = await producer.queue.enqueue(Held, 1);
    await started(worker, id);
    worker.signal('SIGTERM');
    worker.order('finish');
    expect(await worker.ended()).toBe('SIGTERM');
    expect(await producer.queue.getJob(id)).toMatchObject({ state: 'completed', attempt: 1 });
    const { rows } = await database.query('SELECT FROM awa.runtime_instances WHERE pid = $1', [worker.pid]);
    expect(rows).toEqual([]);
  });

  it('that gets SIGTERM twice does not wait for its jobs: they are handed back, and no attempt is counted', async () => {
    const worker = await startProcess();
    const { id } = await producer.queue.enqueue(Held, 1);
    await started(worker, id);
    worker.signal('SIGTERM');
    await worker.heard(
      (message) => message.type === 'log' && message.line.includes('waiting for 1 job'),
      'the drain',
    );
    worker.signal('SIGTERM');
    await worker.heard((message) => message.type === 'aborted' && message.jobId === id, 'the abort');
    // The handler does not care, and is left behind.
    expect(await worker.ended()).toBe('SIGTERM');
    expect(await producer.queue.getJob(id)).toMatchObject({ state: 'available', attempt: 0, runLease: 1 });
  });

  it('that closes its application ends by itself: nothing is left open', async () => {
    const worker = await startProcess();
    const { id } = await producer.queue.enqueue(Held, 1);
    await started(worker, id);
    worker.order('close');
    worker.order('finish');
    expect(await worker.ended()).toBe(0);
    expect(await producer.queue.getJob(id)).toMatchObject({ state: 'completed', attempt: 1 });
    await until(
      async () => {
        const { rows } = await database.query(
          `SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name IN ('awa worker', 'awa listener', 'awa heartbeat')`,
        );
        return rows.length === 0;
      },
      { what: 'the end of its connections' },
    );
  });

  it('that a job kills each time: the job has failed when its attempts are used up', async () => {
    await startRescuer({ queues: { other: {} } });
    const { id } = await producer.queue.enqueue(Poison, 1, { maxAttempts: 2 });
    for (let attempt = 1; attempt <= 2; attempt++) {
      const worker = await startProcess();
      expect(await worker.ended()).toBe('SIGKILL');
      await until(async () => (await producer.queue.getJob(id))?.errors.length === attempt, {
        what: `attempt ${attempt} being rescued`,
        timeoutMs: 20_000,
      });
    }
    const job = await jobIn('failed', producer.queue, id);
    expect(job).toMatchObject({ attempt: 2, errors: [{ terminal: false }, { terminal: true }] });
  });
});
