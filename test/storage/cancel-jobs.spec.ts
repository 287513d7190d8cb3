import { beforeEach, describe, expect, it } from 'vitest';
import { PgAdapter } from '../../lib/storage/adapters/pg.adapter.js';
import { cancelJobs } from '../../lib/storage/operations/cancel-jobs.js';
import { completeAttempts, settleAttempts } from '../../lib/storage/operations/close-attempts.js';
import { enqueueJobs } from '../../lib/storage/operations/enqueue-jobs.js';
import { getJob } from '../../lib/storage/operations/get-job.js';
import { promoteDeferred } from '../../lib/storage/operations/promote-deferred.js';
import { countJobs } from '../../lib/storage/operations/count-jobs.js';
import type { SqlPort } from '../../lib/storage/sql-port.js';
import { until } from '../support/signals.js';
import { claimJobs, newJob, openLane, openPort, SCHEMA } from '../support/storage-fixture.js';
import { useTestDatabase } from '../support/test-database.js';

const database = useTestDatabase();

let port: SqlPort;
let queue: string;
let instanceId: string;

beforeEach(async () => {
  ({ port, queue, instanceId } = await openLane(database));
});

const enqueue = (count = 1, overrides = {}, on = port) =>
  enqueueJobs(
    on,
    SCHEMA,
    Array.from({ length: count }, () => newJob(queue, overrides)),
  );
const claim = (limit = 100, on = port) => claimJobs(on, SCHEMA, instanceId, [{ queue, limit }]);
const claimIds = async (limit = 100) => (await claim(limit)).map(({ jobId }) => jobId);
const cancel = (ids: readonly string[], on = port) => cancelJobs(on, SCHEMA, ids, 'not wanted');
const state = async (id: string) => (await getJob(port, SCHEMA, id))?.state;
const blocked = (query: string) =>
  until(
    async () =>
      (
        await database.query(
          "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE $1",
          [`%${query}%`],
        )
      ).rowCount === 1,
    { what: `${query} waiting` },
  );

describe('cancelling', () => {
  it('a job that waits: it is never claimed, its neighbours are', async () => {
    const ids = (await enqueue(3)) as [string, string, string];
    expect(await cancel([ids[1]])).toEqual([{ jobId: ids[1], result: 'cancelled', wasRunning: false }]);
    expect(await getJob(port, SCHEMA, ids[1])).toMatchObject({ state: 'cancelled', attempt: 0 });
    expect(await claimIds()).toEqual([ids[0], ids[2]]);
    expect(await countJobs(port, SCHEMA, queue, 10_000)).toMatchObject({
      available: { count: 0 },
      running: { count: 2 },
      cancelled: { count: 1 },
    });
  });

  it('a job that waits for a time', async () => {
    const [id] = (await enqueue(1, { delayMs: 3_600_000 })) as [string];
    expect(await cancel([id])).toEqual([{ jobId: id, result: 'cancelled', wasRunning: false }]);
    expect(await state(id)).toBe('cancelled');
    expect((await database.query('SELECT FROM awa.deferred_jobs WHERE job_id = $1', [id])).rowCount).toBe(0);
  });

  it('a job that runs: its result is stale, and its process is told', async () => {
    const [id] = (await enqueue()) as [string];
    const jobs = await claim();
    const listener = await database.client();
    await listener.query(`LISTEN ${SCHEMA.channel}_cancel`);
    const told = new Promise((resolve) => listener.on('notification', ({ payload }) => resolve(payload)));
    expect(await cancel([id])).toEqual([{ jobId: id, result: 'cancelled', wasRunning: true }]);
    expect(await told).toBe(`${id}:1`);
    expect(await completeAttempts(port, SCHEMA, jobs)).toEqual(jobs);
    const job = await getJob(port, SCHEMA, id);
    expect(job).toMatchObject({ state: 'cancelled', attempt: 1 });
    expect(job!.payloadJson).toContain('not wanted');
  });

  it('answers for each id once: ended, unknown, and named twice', async () => {
    const [done, waits] = (await enqueue(2)) as [string, string];
    await completeAttempts(port, SCHEMA, await claim(1));
    const answers = await cancel([waits, done, '999999999', waits]);
    expect(answers.toSorted((a, b) => Number(a.jobId) - Number(b.jobId))).toEqual([
      { jobId: done, result: 'finished', wasRunning: false },
      { jobId: waits, result: 'cancelled', wasRunning: false },
      { jobId: '999999999', result: 'not_found', wasRunning: false },
    ]);
    expect(await cancel([waits])).toEqual([{ jobId: waits, result: 'finished', wasRunning: false }]);
  });

  it('takes part in the transaction of the caller', async () => {
    const ids = (await enqueue(3)) as [string, string, string];
    const [delayed] = (await enqueue(1, { delayMs: 60_000 })) as [string];
    await claim(1);
    const client = await database.client();
    await client.query('BEGIN');
    expect(
      (await cancel([...ids, delayed], new PgAdapter(client))).every(({ result }) => result === 'cancelled'),
    ).toBe(true);
    await client.query('ROLLBACK');
    expect(await Promise.all([...ids, delayed].map(state))).toEqual([
      'running',
      'available',
      'available',
      'scheduled',
    ]);
    expect(await claimIds()).toEqual([ids[1], ids[2]]);
  });

  it('walks over tombstones once: a claim of nothing takes the cursor past them', async () => {
    const ids = await enqueue(50);
    await cancel(ids);
    expect(await claim()).toEqual([]);
    const claims = async () =>
      (
        await database.query(
          'SELECT FROM awa.lease_claims c JOIN awa.queue_lanes l USING (lane_id) WHERE l.queue = $1',
          [queue],
        )
      ).rowCount;
    expect(await claims()).toBe(1);
    for (let look = 0; look < 5; look++) expect(await claim()).toEqual([]);
    expect(await claims()).toBe(1);
    const next = await enqueue(2);
    expect(await claimIds()).toEqual(next);
    expect(await state(ids[0]!)).toBe('cancelled');
  });
});

describe('cancelling in a race', () => {
  it('with a claim: waits for it, and cancels the attempt', async () => {
    const [id] = (await enqueue()) as [string];
    const claimer = await database.client();
    await claimer.query('BEGIN');
    const jobs = await claim(1, new PgAdapter(claimer));
    expect(jobs).toHaveLength(1);
    const cancelling = cancel([id]);
    await blocked('cancel_jobs');
    await claimer.query('COMMIT');
    expect(await cancelling).toEqual([{ jobId: id, result: 'cancelled', wasRunning: true }]);
    expect(await completeAttempts(port, SCHEMA, jobs)).toEqual(jobs);
  });

  it('with a cancel that is not committed: a claim goes past the lane, and finds the job if it was rolled back', async () => {
    const [id] = (await enqueue()) as [string];
    const client = await database.client();
    await client.query('BEGIN');
    await cancel([id], new PgAdapter(client));
    expect(await claim()).toEqual([]);
    await client.query('ROLLBACK');
    expect(await claimIds()).toEqual([id]);
  });

  it('with a promotion: waits for it, and cancels the job where it is then', async () => {
    const [id] = (await enqueue(1, { delayMs: 0.001 })) as [string];
    const promoter = await database.client();
    await promoter.query('BEGIN');
    expect((await promoteDeferred(new PgAdapter(promoter), SCHEMA, 10)).promoted).toBeGreaterThan(0);
    const cancelling = cancel([id]);
    await blocked('cancel_jobs');
    await promoter.query('COMMIT');
    expect(await cancelling).toEqual([{ jobId: id, result: 'cancelled', wasRunning: false }]);
    expect(await claim()).toEqual([]);
  });

  it('with a completion: waits for it, and finds the job finished', async () => {
    const [id] = (await enqueue()) as [string];
    const jobs = await claim();
    const closer = await database.client();
    await closer.query('BEGIN');
    await completeAttempts(new PgAdapter(closer), SCHEMA, jobs);
    const cancelling = cancel([id]);
    await blocked('cancel_jobs');
    await closer.query('COMMIT');
    expect(await cancelling).toEqual([{ jobId: id, result: 'finished', wasRunning: false }]);
  });

  it('with a retry: cancels the job that was put back', async () => {
    const [id] = (await enqueue()) as [string];
    const [job] = await claim();
    const closer = await database.client();
    await closer.query('BEGIN');
    await settleAttempts(new PgAdapter(closer), SCHEMA, [
      { job: job!, outcome: 'error', error: 'no', delayMs: 60_000 },
    ]);
    const cancelling = cancel([id]);
    await blocked('cancel_jobs');
    await closer.query('COMMIT');
    expect(await cancelling).toEqual([{ jobId: id, result: 'cancelled', wasRunning: false }]);
    expect(await state(id)).toBe('cancelled');
  });

  it('with claimers and closers at once: each job ends once, cancelled or completed', async () => {
    const ids = await enqueue(400);
    const cancelled: string[] = [];
    const completed: string[] = [];
    const work = Array.from({ length: 3 }, async () => {
      const own = await openPort(database);
      for (let empty = 0; empty < 3;) {
        const jobs = await claimJobs(own, SCHEMA, instanceId, [{ queue, limit: 5 }]);
        const stale = await completeAttempts(own, SCHEMA, jobs);
        completed.push(...jobs.filter((job) => !stale.includes(job)).map(({ jobId }) => jobId));
        empty = jobs.length === 0 ? empty + 1 : 0;
      }
    });
    const cancels = Array.from({ length: 3 }, async (_, n) => {
      const own = await openPort(database);
      const mine = ids.filter((_id, index) => index % 6 === n).toReversed();
      for (let at = 0; at < mine.length; at += 4) {
        for (const { jobId, result } of await cancelJobs(own, SCHEMA, mine.slice(at, at + 4), 'no')) {
          if (result === 'cancelled') cancelled.push(jobId);
        }
      }
    });
    await Promise.all([...work, ...cancels]);
    for (let jobs = await claim(); jobs.length > 0; jobs = await claim()) {
      await completeAttempts(port, SCHEMA, jobs);
      completed.push(...jobs.map(({ jobId }) => jobId));
    }
    expect([...completed, ...cancelled].toSorted()).toEqual([...ids].toSorted());
    expect(await countJobs(port, SCHEMA, queue, 10_000)).toMatchObject({
      completed: { count: completed.length },
      cancelled: { count: cancelled.length },
      running: { count: 0 },
      available: { count: 0 },
    });
  });
});
