import { defineJob } from 'nestjs-awa';
import type { Client } from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { FaultProxy } from '../support/fault-proxy.js';
import { until } from '../support/signals.js';
import { handlerOf, jobIn, type TestApp, type TestAppOptions, useTestApps } from '../support/test-app.js';
import { useTestDatabase } from '../support/test-database.js';

/** A statement that waits in the database. */
interface Held {
  /** Until it does. */
  waiting(): Promise<void>;
  /** Lets it go on, and commit. */
  release(): Promise<void>;
  /** The same, once it waits; what it answers does not arrive. */
  loseAnswer(): Promise<void>;
}

const Work = defineJob<number, 'work'>('work', { retry: { baseMs: 60_000 } });

describe('an answer of the database that is lost', () => {
  const database = useTestDatabase();
  const apps = useTestApps(database);
  let proxy: FaultProxy;
  let producer: TestApp;
  let lock: Client;
  let runs: { readonly n: number; readonly attempt: number }[];

  beforeEach(async () => {
    runs = [];
    producer = await apps.start({ worker: false });
    proxy = await FaultProxy.open(database.url);
    lock = await database.ownerClient();
  });

  // The applications close after this, and have to reach the database for it.
  afterEach(() => proxy.cut());

  async function startWorker(options: TestAppOptions = {}, outcome?: () => unknown): Promise<TestApp> {
    const handler = handlerOf(Work, ({ args: n, attempt }) => {
      runs.push({ n, attempt });
      return outcome?.();
    });
    return apps.start({ url: proxy.url, handlers: [handler], ...options });
  }

  /** Holds up the worker's statement in the database. */
  async function hold(table: string, mode: string): Promise<Held> {
    await lock.query('BEGIN');
    await lock.query(`LOCK TABLE awa.${table} IN ${mode} MODE`);
    const waits = async () => {
      const sql = 'SELECT FROM pg_locks WHERE relation = $1::regclass AND NOT granted';
      const { rows } = await database.query(sql, [`awa.${table}`]);
      return rows.length > 0;
    };
    const waiting = async () => {
      await until(waits, { what: `a statement waiting for ${table}` });
    };
    const release = async () => {
      await lock.query('COMMIT');
    };
    const loseAnswer = async () => {
      await waiting();
      proxy.swallowAnswers();
      await release();
    };
    return { waiting, release, loseAnswer };
  }

  const holdClaim = async () => hold('queue_claim_heads', 'ACCESS EXCLUSIVE');
  // Reading closures is allowed, writing them is not.
  const holdClosure = async () => hold('lease_claim_closures', 'SHARE');

  async function claimed(id: string): Promise<void> {
    await until(
      async () => {
        const { rows } = await database.query(
          'SELECT FROM awa.lease_claims WHERE $1::bigint = ANY (job_ids)',
          [id],
        );
        return rows.length > 0;
      },
      { what: 'the claim being committed' },
    );
  }

  async function workerBackends(): Promise<number> {
    const { rows } = await database.query<{ backends: number }>(
      `SELECT count(*)::int AS backends FROM pg_stat_activity
       WHERE datname = current_database() AND application_name = 'awa worker'`,
    );
    return rows[0]?.backends ?? 0;
  }

  it('of a claim: the jobs are handed back and run, no attempt is counted', async () => {
    await startWorker({ worker: { pollIntervalMs: 60_000 } });
    const held = await holdClaim();
    const jobs = await producer.queue.enqueueMany(Work, [1, 2, 3]);
    await held.loseAnswer();
    for (const { id } of jobs) await claimed(id);
    expect(runs).toEqual([]);
    proxy.cut();
    for (const { id } of jobs) {
      const job = await jobIn('completed', producer.queue, id);
      expect(job).toMatchObject({ attempt: 1, runLease: 2, errors: [] });
    }
    expect(runs.toSorted((a, b) => a.n - b.n)).toEqual([1, 2, 3].map((n) => ({ n, attempt: 1 })));
  });

  it('of a claim, when the worker stops at once: the jobs are handed back', async () => {
    const worker = await startWorker();
    const held = await holdClaim();
    const { id } = await producer.queue.enqueue(Work, 1);
    await held.loseAnswer();
    await claimed(id);
    const closing = worker.close();
    proxy.cut();
    await closing;
    expect(await producer.queue.getJob(id)).toMatchObject({ state: 'available', attempt: 0, runLease: 1 });
    await startWorker();
    expect(await jobIn('completed', producer.queue, id)).toMatchObject({ attempt: 1, runLease: 2 });
  });

  it('of a claim, when the worker stops and cannot reach the database: the jobs are rescued', async () => {
    const worker = await startWorker({ worker: { heartbeatIntervalMs: 100, heartbeatStaleMs: 500 } });
    const held = await holdClaim();
    const { id } = await producer.queue.enqueue(Work, 1);
    await held.loseAnswer();
    await claimed(id);
    const closing = worker.close();
    proxy.cut({ refuse: true });
    await closing;
    expect(await producer.queue.getJob(id)).toMatchObject({ state: 'running' });

    await startWorker({ url: database.url, worker: { heartbeatIntervalMs: 100, heartbeatStaleMs: 10_000 } });
    const job = await jobIn('completed', producer.queue, id);
    expect(job).toMatchObject({
      attempt: 2,
      errors: [{ attempt: 1, error: expect.stringContaining('is gone') }],
    });
    expect(runs).toEqual([{ n: 1, attempt: 2 }]);
  });

  it('of a claim that is committed after the connection broke: the jobs are handed back all the same', async () => {
    await startWorker();
    const held = await holdClaim();
    const { id } = await producer.queue.enqueue(Work, 1);
    await held.waiting();
    proxy.cut();
    // The worker is back, and has found nothing to hand back.
    await until(async () => (await workerBackends()) > 1, { what: 'a second connection of the worker' });
    await held.release();
    const job = await jobIn('completed', producer.queue, id);
    expect(job).toMatchObject({ attempt: 1, errors: [] });
    expect(runs).toEqual([{ n: 1, attempt: 1 }]);
  });

  it('of a claim that is committed after the worker has stopped: the jobs are rescued', async () => {
    const worker = await startWorker({ worker: { heartbeatIntervalMs: 100, heartbeatStaleMs: 500 } });
    const held = await holdClaim();
    const { id } = await producer.queue.enqueue(Work, 1);
    await held.waiting();
    const closing = worker.close();
    proxy.cut();
    await closing;
    await held.release();
    await claimed(id);
    expect(await producer.queue.getJob(id)).toMatchObject({ state: 'running' });

    await startWorker({ worker: { heartbeatIntervalMs: 100, heartbeatStaleMs: 10_000 } });
    expect(await jobIn('completed', producer.queue, id)).toMatchObject({ attempt: 2 });
  });

  it('of a completion: the job is not run twice, and nobody is told of a stale attempt', async () => {
    await startWorker();
    const held = await holdClosure();
    const { id } = await producer.queue.enqueue(Work, 1);
    await held.loseAnswer();
    await jobIn('completed', producer.queue, id);
    proxy.cut();
    const { id: next } = await producer.queue.enqueue(Work, 2);
    await jobIn('completed', producer.queue, next);

    expect(runs).toEqual([1, 2].map((n) => ({ n, attempt: 1 })));
    expect(await producer.queue.getJob(id)).toMatchObject({ state: 'completed', attempt: 1, runLease: 1 });
    const { rows } = await database.query<{ times: number }>(
      'SELECT count(*)::int AS times FROM awa.completion_batches, unnest(job_ids) AS job_id WHERE job_id = $1',
      [id],
    );
    expect(rows).toEqual([{ times: 1 }]);
    expect(apps.logs.filter((line) => line.includes('taken away'))).toEqual([]);
  });

  it('of a settlement: the failure is counted once', async () => {
    await startWorker({}, () => Promise.reject(new Error('no luck')));
    const held = await holdClosure();
    const { id } = await producer.queue.enqueue(Work, 1);
    await held.loseAnswer();
    await jobIn('retryable', producer.queue, id);
    proxy.cut();
    const { id: next } = await producer.queue.enqueue(Work, 2);
    await jobIn('retryable', producer.queue, next);

    const job = await producer.queue.getJob(id);
    expect(job).toMatchObject({ state: 'retryable', attempt: 1, runLease: 1 });
    expect(job?.errors).toHaveLength(1);
    expect(apps.logs.filter((line) => line.includes('taken away'))).toEqual([]);
  });
});
