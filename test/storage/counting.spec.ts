import { beforeEach, expect, it } from 'vitest';
import { completeAttempts } from '../../lib/storage/operations/close-attempts.js';
import { enqueueJobs } from '../../lib/storage/operations/enqueue-jobs.js';
import type { SqlPort } from '../../lib/storage/sql-port.js';
import { sharedBlocks } from '../support/shared-blocks.js';
import { claimJobs, newJob, openLane, SCHEMA } from '../support/storage-fixture.js';
import { useTestDatabase } from '../support/test-database.js';

const database = useTestDatabase();

let port: SqlPort;
let queue: string;
let instanceId: string;

beforeEach(async () => {
  ({ port, queue, instanceId } = await openLane(database));
});

const enqueue = (count: number) =>
  enqueueJobs(
    port,
    SCHEMA,
    Array.from({ length: count }, () => newJob(queue)),
  );

async function runAll(): Promise<void> {
  for (;;) {
    const jobs = await claimJobs(port, SCHEMA, instanceId, [{ queue, limit: 500 }]);
    if (jobs.length === 0) return;
    await completeAttempts(port, SCHEMA, jobs);
  }
}

/** Shared blocks that a count of what waits touches. */
const countBlocks = () =>
  sharedBlocks(
    database,
    'SELECT * FROM awa.count_available(ARRAY(SELECT l.lane_id FROM awa.queue_lanes l WHERE l.queue = $1), 10000)',
    [queue],
  );

it('counts what waits without a look at what has been claimed and is kept', async () => {
  await enqueue(100);
  await runAll();
  await enqueue(3);
  await countBlocks();
  const few = await countBlocks();
  await enqueue(10_000);
  await runAll();
  await enqueue(3);
  const many = await countBlocks();
  // 10,000 rows lie in some 200 pages, each found by way of an index.
  expect(many - few).toBeLessThan(30);
});
