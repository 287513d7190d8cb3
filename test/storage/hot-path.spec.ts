import { expect, it } from 'vitest';
import type { ClaimedJob } from '../../lib/storage/operations/claim-jobs.js';
import {
  completeAttempts,
  type Settlement,
  settleAttempts,
} from '../../lib/storage/operations/close-attempts.js';
import { enqueueJobs } from '../../lib/storage/operations/enqueue-jobs.js';
import { promoteDeferred } from '../../lib/storage/operations/promote-deferred.js';
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

/** The tables of docs/storage.md that see nothing but INSERT. */
const APPEND_ONLY = [
  'ready_entries',
  'completion_batches',
  'lease_claims',
  'lease_claim_closures',
  'done_entries',
];

it('only inserts into the hot tables, with every outcome in the load and a transaction held open', async () => {
  const port = await openPort(database);
  const queue = await registerTestQueue(port);
  const instanceId = await registerTestInstance(port);
  const pinned = await database.client();
  await pinned.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
  await pinned.query('SELECT pg_current_xact_id(), count(*) FROM awa.queues');

  for (let round = 0; round < 30; round++) {
    await enqueueJobs(
      port,
      SCHEMA,
      Array.from({ length: 40 }, (_, job) => newJob(queue, { delayMs: job % 10 === 0 ? 0.001 : undefined })),
    );
    await promoteDeferred(port, SCHEMA, 100);
    const jobs = await claimJobs(port, SCHEMA, instanceId, [{ queue, limit: 60 }]);
    const outcomes = ['error', 'failed', 'cancelled', 'snoozed', 'released'] as const;
    const settle = (job: ClaimedJob, index: number): Settlement => ({
      job,
      outcome: outcomes[index % outcomes.length]!,
      error: 'because',
      delayMs: 0,
    });
    await settleAttempts(port, SCHEMA, jobs.filter((_, index) => index % 4 === 0).map(settle));
    await completeAttempts(
      port,
      SCHEMA,
      jobs.filter((_, index) => index % 4 !== 0),
    );
  }

  await port.query({ name: 'flush', text: 'SELECT pg_stat_force_next_flush()' }, []);
  await port.query({ name: 'flushed', text: 'SELECT 1' }, []);
  const { rows } = await database.query(
    `SELECT regexp_replace(relname, '_\\d+$', '') AS table, sum(n_tup_ins) > 0 AS inserted,
       sum(n_tup_upd)::int AS updated, sum(n_tup_del)::int AS deleted, sum(n_dead_tup)::int AS dead
     FROM pg_stat_user_tables WHERE schemaname = 'awa' AND regexp_replace(relname, '_\\d+$', '') = ANY ($1)
     GROUP BY 1 ORDER BY 1`,
    [APPEND_ONLY],
  );
  expect(rows).toEqual(
    APPEND_ONLY.toSorted().map((table) => ({ table, inserted: true, updated: 0, deleted: 0, dead: 0 })),
  );
  await pinned.query('ROLLBACK');
});
