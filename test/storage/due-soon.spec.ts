import type { Client, Notification } from 'pg';
import { beforeEach, expect, it } from 'vitest';
import { PromotionTask } from '../../lib/maintenance/promotion.task.js';
import { settleAttempts } from '../../lib/storage/operations/close-attempts.js';
import { enqueueJobs } from '../../lib/storage/operations/enqueue-jobs.js';
import { dueChannel } from '../../lib/storage/operations/promote-deferred.js';
import { retryDeadLetters } from '../../lib/storage/operations/retry-dead-letters.js';
import type { SqlPort } from '../../lib/storage/sql-port.js';
import { claimJobs, newJob, openLane, SCHEMA } from '../support/storage-fixture.js';
import { useTestDatabase } from '../support/test-database.js';

const database = useTestDatabase();

const HOUR_MS = 3_600_000;
const END = 'end_of_test';

let port: SqlPort;
let queue: string;
let instanceId: string;
let ear: Client;
let heard: string[];

beforeEach(async () => {
  ({ port, queue, instanceId } = await openLane(database, { deadLetterMs: HOUR_MS }));
  ear = await database.client();
  const own: string[] = [];
  ear.on('notification', ({ channel }: Notification) => own.push(channel));
  heard = own;
  await ear.query(`LISTEN ${dueChannel(SCHEMA)}; LISTEN ${END}`);
});

/** How often it was said by now that a job is due soon. Notifications come in the order of the commits. */
async function announcements(): Promise<number> {
  await port.query({ name: 'end', text: `SELECT pg_notify('${END}', '')` }, []);
  while (!heard.includes(END)) await ear.query('SELECT 1');
  return heard.splice(0).length - 1;
}

const enqueue = (...delaysMs: (number | undefined)[]) =>
  enqueueJobs(
    port,
    SCHEMA,
    delaysMs.map((delayMs) => newJob(queue, { delayMs })),
  );

it('tells the leader of jobs that are enqueued for soon, once a transaction, and of no others', async () => {
  await enqueue(undefined, HOUR_MS);
  expect(await announcements()).toBe(0);
  await enqueue(500, 1_000, undefined);
  expect(await announcements()).toBe(1);
});

it.each([
  ['error', 300, 1],
  ['snoozed', 300, 1],
  ['error', HOUR_MS, 0],
  // Its own back-off is 2 s at least.
  ['error', undefined, 0],
] as const)(
  'tells the leader of an attempt that ends as %s for %s ms: %i time(s)',
  async (outcome, delayMs, times) => {
    await enqueue(undefined, undefined);
    const jobs = await claimJobs(port, SCHEMA, instanceId, [{ queue, limit: 2 }]);
    await settleAttempts(
      port,
      SCHEMA,
      jobs.map((job) => ({ job, outcome, error: undefined, delayMs })),
    );
    expect(await announcements()).toBe(times);
  },
);

it('tells the leader of dead letters that are retried soon', async () => {
  const ids = await enqueue(undefined, undefined);
  const jobs = await claimJobs(port, SCHEMA, instanceId, [{ queue, limit: 2 }]);
  await settleAttempts(
    port,
    SCHEMA,
    jobs.map((job) => ({ job, outcome: 'failed', error: 'why', delayMs: undefined })),
  );
  expect(await announcements()).toBe(0);
  await retryDeadLetters(port, SCHEMA, [ids[0]!], true, { delayMs: HOUR_MS });
  expect(await announcements()).toBe(0);
  await retryDeadLetters(port, SCHEMA, [ids[1]!], true, { delayMs: 300 });
  expect(await announcements()).toBe(1);
});

it('lets the promotion look at once, which leaves the database alone otherwise', async () => {
  const task = new PromotionTask(port, SCHEMA, { hearsNotifications: true }, () => undefined);
  expect(await task.run()).toBe(true);
  expect(await task.run()).toBe(false);
  task.expect(0);
  expect(await task.run()).toBe(true);
});
