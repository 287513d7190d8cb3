import { beforeAll, describe, expect, it } from 'vitest';
import { PgAdapter } from '../../lib/storage/adapters/pg.adapter.js';
import type { ClaimedJob } from '../../lib/storage/operations/claim-jobs.js';
import {
  completeAttempts,
  completeFreeAttempts,
  settleFreeAttempts,
} from '../../lib/storage/operations/close-attempts.js';
import { enqueueJobs } from '../../lib/storage/operations/enqueue-jobs.js';
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
let instanceId: string;

beforeAll(async () => {
  port = await openPort(database);
  instanceId = await registerTestInstance(port);
});

/** One claim of so many jobs. */
async function claim(jobs: number): Promise<readonly ClaimedJob[]> {
  const queue = await registerTestQueue(port);
  await enqueueJobs(
    port,
    SCHEMA,
    Array.from({ length: jobs }, () => newJob(queue)),
  );
  return claimJobs(port, SCHEMA, instanceId, [{ queue, limit: jobs }]);
}

describe('closing without waiting', () => {
  const settled = (job: ClaimedJob) => ({ job, outcome: 'failed' as const, error: 'no', delayMs: undefined });
  const complete = async (jobs: readonly ClaimedJob[]) =>
    completeFreeAttempts(port, SCHEMA, jobs, () => false);
  const settle = async (jobs: readonly ClaimedJob[]) => settleFreeAttempts(port, SCHEMA, jobs.map(settled));

  it.each([
    ['successes', complete, 'completed'],
    ['failures', settle, 'failed'],
  ] as const)('of %s passes over claims that a transaction has locked', async (_, close, state) => {
    const [a, b, c] = (await claim(3)) as [ClaimedJob, ClaimedJob, ClaimedJob];
    const [other, over] = (await claim(2)) as [ClaimedJob, ClaimedJob];
    expect(await close([over])).toEqual([state]);
    const open = await database.client();
    await open.query('BEGIN');
    await completeAttempts(new PgAdapter(open), SCHEMA, [a]);

    expect(await close([a, other, b, over])).toEqual(['busy', state, 'busy', 'stale']);
    expect(await close([c])).toEqual(['busy']);
    await open.query('COMMIT');
    expect(await close([a, b, other, c])).toEqual(['stale', state, 'stale', state]);
  });

  it('of what was rolled back closes it', async () => {
    const [job] = (await claim(1)) as [ClaimedJob];
    const open = await database.client();
    await open.query('BEGIN');
    await completeAttempts(new PgAdapter(open), SCHEMA, [job]);
    await open.query('ROLLBACK');
    expect(await complete([job, job])).toEqual(['completed', 'stale']);
  });

  it('knows claims that are not there any more for stale, not for busy', async () => {
    const [job] = (await claim(1)) as [ClaimedJob];
    const gone = { ...job, claim: { laneId: job.claim.laneId, claimSeq: '999999' } };
    expect(await complete([gone, job])).toEqual(['stale', 'completed']);
    expect(await settle([gone])).toEqual(['stale']);
  });
});
