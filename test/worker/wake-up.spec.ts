import { defineJob } from 'nestjs-awa';
import { beforeEach, describe, expect, it } from 'vitest';

import { until } from '../support/signals.js';
import { handlerOf, jobIn, type TestApp, useTestApps } from '../support/test-app.js';
import { useTestDatabase } from '../support/test-database.js';

const Work = defineJob<number, 'work'>('work');

describe('an idle worker', () => {
  const database = useTestDatabase();
  const apps = useTestApps(database);
  let producer: TestApp;

  beforeEach(async () => {
    producer = await apps.start({ worker: false });
  });

  async function startWorker(pollIntervalMs: number): Promise<void> {
    await apps.start({ worker: { pollIntervalMs }, handlers: [handlerOf(Work, () => undefined)] });
    await until(async () => (await listeners()).length === 1, { what: 'the worker listening' });
  }

  /** Backends that wait for notifications. */
  async function listeners(): Promise<number[]> {
    const { rows } = await database.query<{ pid: number }>(
      `SELECT pid FROM pg_stat_activity
       WHERE datname = current_database() AND application_name = 'awa listener' AND state = 'idle'`,
    );
    return rows.map(({ pid }) => pid);
  }

  it('is woken by a notification, without a poll', async () => {
    await startWorker(60_000);
    for (let round = 0; round < 5; round++) {
      const jobs = await producer.queue.enqueueMany(
        Work,
        Array.from({ length: 120 }, (_, n) => n),
      );
      for (const { id } of jobs)
        expect(await jobIn('completed', producer.queue, id)).toMatchObject({ attempt: 1 });
    }
  });

  it('polls when notifications do not come', async () => {
    await startWorker(50);
    // A trigger on nothing at all: jobs that appear without NOTIFY.
    const { id } = await producer.queue.enqueue(Work, 1, { delay: 3_600_000 });
    await database.query(
      `INSERT INTO awa.ready_entries (job_id, run_at, created_at, lane_id, attempt, run_lease, ready_slot, max_attempts, kind, args)
       SELECT job_id, run_at, created_at, lane_id, attempt, run_lease, 0, max_attempts, kind, args FROM awa.deferred_jobs
       WHERE job_id = $1`,
      [id],
    );
    await database.query('DELETE FROM awa.deferred_jobs WHERE job_id = $1', [id]);
    expect(await jobIn('completed', producer.queue, id)).toMatchObject({ attempt: 1 });
  });

  it('listens again after its listener was killed, and looks for what it has missed', async () => {
    await startWorker(60_000);
    const [killed] = await listeners();
    await database.query('SELECT pg_terminate_backend($1)', [killed]);
    const { id: missed } = await producer.queue.enqueue(Work, 1);
    await jobIn('completed', producer.queue, missed);
    await until(async () => (await listeners()).some((pid) => pid !== killed), { what: 'a new listener' });
    const { id } = await producer.queue.enqueue(Work, 2);
    expect(await jobIn('completed', producer.queue, id)).toMatchObject({ attempt: 1 });
  });

  it('is woken for a job that comes due', async () => {
    await startWorker(60_000);
    const { id } = await producer.queue.enqueue(Work, 1, { delay: 200 });
    const job = await jobIn('completed', producer.queue, id);
    expect(job.attempt).toBe(1);
  });
});
