import assert from 'node:assert/strict';
import { PgAdapter } from '../../lib/storage/adapters/pg.adapter.js';
import { cancelJobs } from '../../lib/storage/operations/cancel-jobs.js';
import type { ClaimedJob } from '../../lib/storage/operations/claim-jobs.js';
import {
  type AttemptOutcome,
  completeAttempts,
  settleAttempts,
} from '../../lib/storage/operations/close-attempts.js';
import { enqueueJobs } from '../../lib/storage/operations/enqueue-jobs.js';
import { enqueueUnique } from '../support/unique-fixture.js';
import {
  claimJobs,
  newJob,
  openPort,
  registerTestInstance,
  registerTestQueue,
  SCHEMA,
} from '../support/storage-fixture.js';
import type { TestDatabase } from '../support/test-database.js';

/** What is in the database that is dumped: ids by what has become of the jobs. */
export interface SourceJobs {
  readonly queues: readonly string[];
  /** In the order in which they have to run. */
  readonly waiting: readonly string[];
  readonly running: readonly string[];
  /** They run, and have no attempt left. */
  readonly lastAttempt: readonly string[];
  readonly retryable: readonly string[];
  readonly scheduled: readonly string[];
  readonly completed: readonly string[];
  readonly failed: readonly string[];
  readonly cancelled: readonly string[];
  /** Of the waiting unique job. */
  readonly uniqueKey: string;
}

/** Jobs in every state, a claim window that is half used up, and transactions that were in progress when it was opened. */
export async function fillSource(database: TestDatabase): Promise<SourceJobs> {
  const port = await openPort(database);
  const queue = await registerTestQueue(port);
  const neverClaimed = await registerTestQueue(port);
  const instanceId = await registerTestInstance(port);
  const enqueue = (count: number, overrides = {}, on = port) =>
    enqueueJobs(
      on,
      SCHEMA,
      Array.from({ length: count }, () => newJob(queue, overrides)),
    );
  const claim = async (limit: number) => {
    const jobs = await claimJobs(port, SCHEMA, instanceId, [{ queue, limit }]);
    assert.equal(jobs.length, limit);
    return jobs;
  };
  const settle = (jobs: readonly ClaimedJob[], outcome: AttemptOutcome, delayMs: number) =>
    settleAttempts(
      port,
      SCHEMA,
      jobs.map((job) => ({ job, outcome, error: 'why', delayMs })),
    );

  // Some history of claims, so that there is something to search in.
  const completed = await enqueue(9);
  for (let left = 0; left < 3; left += 1) await completeAttempts(port, SCHEMA, await claim(3));

  // And a gap between the ids of the transactions.
  await database.query(
    'DO $$ BEGIN FOR i IN 1..1000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$',
  );

  const failed = await enqueue(1);
  await settle(await claim(1), 'failed', 0);
  const retryable = await enqueue(1);
  await settle(await claim(1), 'error', 3_600_000);
  const scheduled = await enqueue(1, { delayMs: 3_600_000 });
  const lastAttempt = await enqueue(1, { maxAttempts: 1 });
  await claim(1);

  // Two transactions are open while the window is opened: one commits later, the other never.
  const late = await database.client();
  await late.query('BEGIN');
  const lateIds = await enqueue(2, {}, new PgAdapter(late));
  const lost = await database.client();
  await lost.query('BEGIN');
  await enqueue(2, {}, new PgAdapter(lost));
  const window = await enqueue(9);
  await completeAttempts(port, SCHEMA, await claim(2));
  const running = (await claim(2)).map(({ jobId }) => jobId);
  await late.query('COMMIT');
  const cancelled = [window[6]!, ...(await enqueue(1, { delayMs: 3_600_000 }))];
  await cancelJobs(port, SCHEMA, cancelled, 'not wanted');
  const after = await enqueue(3);
  const uniqueKey = '00112233445566778899aabbccddeeff';
  const [unique] = await enqueueUnique(port, [
    { ...newJob(queue), unique: { key: uniqueKey, periodMs: undefined, heldAfter: [] } },
  ]);
  const elsewhere = await enqueueJobs(port, SCHEMA, [newJob(neverClaimed), newJob(neverClaimed)]);
  const tombstone = await enqueueJobs(port, SCHEMA, [newJob(neverClaimed)]);
  await cancelJobs(port, SCHEMA, tombstone, 'not wanted');

  return {
    queues: [queue, neverClaimed],
    waiting: [...lateIds, ...window.slice(4, 6), ...window.slice(7), ...after, unique!.id, ...elsewhere],
    running,
    lastAttempt,
    retryable,
    scheduled,
    completed: [...completed, ...window.slice(0, 2)],
    failed,
    cancelled: [...cancelled, ...tombstone],
    uniqueKey,
  };
}
