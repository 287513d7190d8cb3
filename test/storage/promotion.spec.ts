import { beforeEach, expect, it } from 'vitest';
import { enqueueJobs } from '../../lib/storage/operations/enqueue-jobs.js';
import { promoteDeferred } from '../../lib/storage/operations/promote-deferred.js';
import type { SqlPort } from '../../lib/storage/sql-port.js';
import {
  claimJobs,
  newJob,
  openPort,
  registerTestInstance,
  registerTestQueue,
  SCHEMA,
} from '../support/storage-fixture.js';
import { useTestDatabase } from '../support/test-database.js';

const database = useTestDatabase();

let port: SqlPort;
let queue: string;

beforeEach(async () => {
  port = await openPort(database);
  queue = await registerTestQueue(port);
  await database.query('DELETE FROM awa.deferred_jobs');
});

const enqueue = (delaysMs: number[]) =>
  enqueueJobs(
    port,
    SCHEMA,
    delaysMs.map((delayMs) => newJob(queue, { delayMs })),
  );

/** As if so many seconds had passed. */
const pass = (seconds: number) =>
  database.query("UPDATE awa.deferred_jobs SET run_at = run_at - $1::int * interval '1 second'", [seconds]);

it('moves what is due and says when the next is', async () => {
  const [late, soon, sooner] = (await enqueue([3_600_000, 60_000, 30_000])) as [string, string, string];
  expect(await promoteDeferred(port, SCHEMA, 10)).toMatchObject({ promoted: 0 });
  await pass(61);
  const promotion = await promoteDeferred(port, SCHEMA, 10);
  expect(promotion.promoted).toBe(2);
  expect(promotion.nextInMs).toBeGreaterThan(3_500_000);
  const claimed = await claimJobs(port, SCHEMA, await registerTestInstance(port), [{ queue, limit: 10 }]);
  expect(claimed.map(({ jobId }) => jobId).toSorted()).toEqual([soon, sooner].toSorted());
  const { rows } = await database.query('SELECT job_id::text AS id, state FROM awa.deferred_jobs');
  expect(rows).toEqual([{ id: late, state: 'scheduled' }]);
});

it('stops at its limit, and takes the oldest first', async () => {
  const [youngest, oldest] = (await enqueue([1_500, 500])) as [string, string];
  await pass(2);
  await promoteDeferred(port, SCHEMA, 1);
  const { rows } = await database.query('SELECT job_id::text AS id FROM awa.deferred_jobs');
  expect(rows).toEqual([{ id: youngest }]);
  expect(oldest).not.toBe(youngest);

  await enqueue(Array.from({ length: 24 }, () => 1_000));
  await pass(2);
  const moved = [];
  for (let batch = 0; batch < 4; batch++) moved.push((await promoteDeferred(port, SCHEMA, 10)).promoted);
  expect(moved).toEqual([10, 10, 5, 0]);
});

it('promotes each job once when several processes do it at the same time', async () => {
  const ids = await enqueue(Array.from({ length: 500 }, () => 1_000));
  await pass(2);
  const promoters = await Promise.all([1, 2, 3, 4].map(() => openPort(database)));
  const moved = await Promise.all(
    promoters.map(async (own) => {
      let sum = 0;
      for (let batch = 0; batch < 30; batch++) sum += (await promoteDeferred(own, SCHEMA, 20)).promoted;
      return sum;
    }),
  );
  expect(moved.reduce((sum, count) => sum + count, 0)).toBe(500);
  const { rows } = await database.query<{ id: string }>(
    'SELECT e.job_id::text AS id FROM awa.ready_entries e JOIN awa.queue_lanes l USING (lane_id) WHERE l.queue = $1',
    [queue],
  );
  expect(rows.map(({ id }) => id).toSorted()).toEqual(ids.toSorted());
});

it('looks without writing when nothing is due', async () => {
  await enqueue([3_600_000]);
  const nextXid = async () =>
    (await database.query<{ xid: string }>('SELECT pg_snapshot_xmax(pg_current_snapshot())::text AS xid'))
      .rows[0]!.xid;
  const before = await nextXid();
  for (let look = 0; look < 5; look++) await promoteDeferred(port, SCHEMA, 10);
  expect(await nextXid()).toBe(before);
});
