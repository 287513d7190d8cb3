import type { ClaimedJob } from '../../lib/storage/operations/claim-jobs.js';
import { type AttemptOutcome, settleAttempts } from '../../lib/storage/operations/close-attempts.js';
import { enqueueJobs, type NewJob } from '../../lib/storage/operations/enqueue-jobs.js';
import type { SqlPort } from '../../lib/storage/sql-port.js';
import { claimJobs, newJob, registerTestQueue, SCHEMA } from '../support/storage-fixture.js';

export const DAY_MS = 86_400_000;

/** A queue of the test's own, with dead letters. */
export async function registerDeadLetterQueue(port: SqlPort, retentionMs = 30 * DAY_MS): Promise<string> {
  return registerTestQueue(port, { deadLetterMs: retentionMs });
}

/** Enqueues jobs and ends the first attempt of each. @returns their ids. */
export async function settleNew(
  port: SqlPort,
  instanceId: string,
  queue: string,
  count = 1,
  outcome: AttemptOutcome = 'failed',
  overrides: Partial<NewJob> = {},
): Promise<string[]> {
  const ids = await enqueueJobs(
    port,
    SCHEMA,
    Array.from({ length: count }, () => newJob(queue, overrides)),
  );
  const jobs: ClaimedJob[] = [];
  while (jobs.length < count)
    jobs.push(...(await claimJobs(port, SCHEMA, instanceId, [{ queue, limit: 512 }])));
  await settleAttempts(
    port,
    SCHEMA,
    jobs.map((job) => ({ job, outcome, error: 'why', delayMs: 0 })),
  );
  return ids;
}
