import { beforeEach, describe, expect, it } from 'vitest';
import { PgAdapter } from '../../lib/storage/adapters/pg.adapter.js';
import type { ClaimedJob } from '../../lib/storage/operations/claim-jobs.js';
import {
  type AttemptOutcome,
  completeAttempts,
  type Settlement,
  settleAttempts,
} from '../../lib/storage/operations/close-attempts.js';
import { enqueueJobs } from '../../lib/storage/operations/enqueue-jobs.js';
import { getJob } from '../../lib/storage/operations/get-job.js';
import { promoteDeferred } from '../../lib/storage/operations/promote-deferred.js';
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

async function claimNew(count = 1, overrides = {}): Promise<readonly ClaimedJob[]> {
  await enqueueJobs(
    port,
    SCHEMA,
    Array.from({ length: count }, () => newJob(queue, overrides)),
  );
  return claimJobs(port, SCHEMA, instanceId, [{ queue, limit: 500 }]);
}

const settlement = (
  job: ClaimedJob,
  outcome: AttemptOutcome,
  rest: Partial<Settlement> = {},
): Settlement => ({
  job,
  outcome,
  error: undefined,
  delayMs: 0,
  ...rest,
});

const stored = (job: ClaimedJob) => getJob(port, SCHEMA, job.jobId);

describe('completing attempts', () => {
  it('writes one closure a claim and one batch of ids, and the jobs are completed', async () => {
    const jobs = await claimNew(5);
    expect(await completeAttempts(port, SCHEMA, jobs)).toEqual([]);
    const { rows: closures } = await database.query(
      'SELECT outcome, items FROM awa.lease_claim_closures WHERE lane_id = $1',
      [jobs[0]!.claim.laneId],
    );
    expect(closures).toEqual([{ outcome: 'completed', items: [1, 2, 3, 4, 5] }]);
    const { rows: batches } = await database.query(
      'SELECT job_ids::text[] AS ids FROM awa.completion_batches WHERE lane_id = $1',
      [jobs[0]!.claim.laneId],
    );
    expect(batches).toEqual([{ ids: jobs.map(({ jobId }) => jobId) }]);
    expect(await stored(jobs[2]!)).toMatchObject({ state: 'completed', attempt: 1, runLease: 1 });
  });

  it('answers stale for what is closed, for another lease, and for a claim that is not there', async () => {
    const [first, second, third] = (await claimNew(3)) as [ClaimedJob, ClaimedJob, ClaimedJob];
    await completeAttempts(port, SCHEMA, [first]);
    const forged = { ...second, runLease: second.runLease + 1 };
    const nowhere = { ...third, claim: { ...third.claim, claimSeq: '999' } };
    expect(await completeAttempts(port, SCHEMA, [first, forged, nowhere, third])).toEqual([
      first,
      forged,
      nowhere,
    ]);
    expect(await stored(second)).toMatchObject({ state: 'running' });
    expect(await stored(third)).toMatchObject({ state: 'completed' });
  });

  it('counts an attempt that is handed in twice at once a single time', async () => {
    const [job] = (await claimNew()) as [ClaimedJob];
    expect(await completeAttempts(port, SCHEMA, [job, job])).toEqual([job]);
    const { rows } = await database.query(
      'SELECT sum(cardinality(job_ids))::int AS jobs FROM awa.completion_batches WHERE lane_id = $1',
      [job.claim.laneId],
    );
    expect(rows).toEqual([{ jobs: 1 }]);
  });
});

describe('settling attempts', () => {
  it.each([
    ['error', 'retryable', 1],
    ['failed', 'failed', 1],
    ['invalid', 'failed', 0],
    ['cancelled', 'cancelled', 1],
    ['snoozed', 'scheduled', 0],
    ['released', 'available', 0],
  ] as const)('%s makes the job %s, with %i attempts counted', async (outcome, state, attempt) => {
    const [job] = (await claimNew()) as [ClaimedJob];
    expect(await settleAttempts(port, SCHEMA, [settlement(job, outcome, { error: 'why' })])).toEqual([state]);
    const after = await stored(job);
    expect(after).toMatchObject({ state, attempt, runLease: 1 });
    expect(JSON.parse(after!.payloadJson!)).toMatchObject({ errors: [{ attempt: 1, error: 'why' }] });
  });

  it('fails a job whose attempts are used up, with the errors of all of them', async () => {
    let [job] = (await claimNew(1, { maxAttempts: 3 })) as [ClaimedJob];
    const states: unknown[] = [];
    for (let attempt = 1; attempt <= 3; attempt++) {
      states.push(
        ...(await settleAttempts(port, SCHEMA, [settlement(job, 'error', { error: `no ${attempt}` })])),
      );
      await promoteDeferred(port, SCHEMA, 100);
      [job] = (await claimJobs(port, SCHEMA, instanceId, [{ queue, limit: 1 }])) as [ClaimedJob];
    }
    expect(states).toEqual(['retryable', 'retryable', 'failed']);
    expect(job).toBeUndefined();
    const { rows } = await database.query<{ payload: { errors: object[] } }>(
      'SELECT payload FROM awa.done_entries d JOIN awa.queue_lanes l USING (lane_id) WHERE l.queue = $1',
      [queue],
    );
    expect(rows[0]!.payload.errors).toEqual(
      [1, 2, 3].map((attempt) =>
        expect.objectContaining({ attempt, error: `no ${attempt}`, terminal: attempt === 3 }),
      ),
    );
  });

  it('keeps the newest 50 errors', async () => {
    const { rows } = await database.query<{ errors: { attempt: number }[] }>(`
      WITH RECURSIVE history AS (
        SELECT 1 AS attempt, awa.append_error(NULL, 1, 'first', now(), false) AS payload
        UNION ALL
        SELECT attempt + 1, awa.append_error(payload, attempt + 1, 'next', now(), false) FROM history WHERE attempt < 60
      ) SELECT payload->'errors' AS errors FROM history WHERE attempt = 60`);
    expect(rows[0]!.errors.map(({ attempt }) => attempt)).toEqual(
      Array.from({ length: 50 }, (_, i) => i + 11),
    );
  });

  it('backs off by 2^attempt seconds and up to a quarter more, never beyond a day', async () => {
    const { rows } = await database.query<{ attempt: number; least: number; most: number }>(`
      SELECT attempt, min(extract(epoch FROM d))::float8 AS least, max(extract(epoch FROM d))::float8 AS most
      FROM (SELECT attempt, awa.retry_delay(attempt) AS d FROM generate_series(1, 40) AS attempt, generate_series(1, 200)) r
      GROUP BY attempt ORDER BY attempt`);
    for (const { attempt, least, most } of rows) {
      expect(least).toBeGreaterThanOrEqual(Math.min(2 ** attempt, 86_400));
      expect(most).toBeLessThanOrEqual(Math.min(1.25 * 2 ** attempt, 86_400));
    }
    // Jitter is there at all.
    expect(rows[4]!.most).toBeGreaterThan(rows[4]!.least * 1.05);
  });
});

describe('two closers of one attempt', () => {
  it('gives the second one, who waited for the first, a stale answer', async () => {
    const [job] = (await claimNew()) as [ClaimedJob];
    const first = await database.client();
    await first.query('BEGIN');
    expect(await completeAttempts(new PgAdapter(first), SCHEMA, [job])).toEqual([]);

    const second = settleAttempts(port, SCHEMA, [settlement(job, 'error', { error: 'too late' })]);
    await until(
      async () =>
        (
          await database.query(
            "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
          )
        ).rowCount === 1,
      { what: 'the second closer waiting' },
    );
    await first.query('COMMIT');
    expect(await second).toEqual([undefined]);
    expect(await stored(job)).toMatchObject({ state: 'completed' });
    expect(
      (await database.query('SELECT FROM awa.deferred_jobs WHERE job_id = $1', [job.jobId])).rowCount,
    ).toBe(0);
  });

  it('refuses to close under a snapshot of the transaction, which would not see the other', async () => {
    const [job] = (await claimNew()) as [ClaimedJob];
    const client = await database.client();
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
    await client.query('SELECT 1');
    await completeAttempts(port, SCHEMA, [job]);
    await expect(
      settleAttempts(new PgAdapter(client), SCHEMA, [settlement(job, 'error', { error: 'too late' })]),
    ).rejects.toMatchObject({ code: 'AW002' });
    await client.query('ROLLBACK');
    expect(await stored(job)).toMatchObject({ state: 'completed' });
  });

  it('refuses an outcome it does not know, with all of the batch', async () => {
    const jobs = await claimNew(2);
    const [known, unknown] = jobs.map((job) => settlement(job, 'failed'));
    await expect(
      settleAttempts(port, SCHEMA, [known!, { ...unknown!, outcome: 'parked' as AttemptOutcome }]),
    ).rejects.toMatchObject({ code: '22023' });
    expect(await stored(jobs[0]!)).toMatchObject({ state: 'running' });
  });

  it('lets the second one win when the first rolls back', async () => {
    const [job] = (await claimNew()) as [ClaimedJob];
    const first = await database.client();
    await first.query('BEGIN');
    await completeAttempts(new PgAdapter(first), SCHEMA, [job]);
    await first.query('ROLLBACK');
    expect(await settleAttempts(port, SCHEMA, [settlement(job, 'failed')])).toEqual(['failed']);
  });

  it('has exactly one winner an attempt and no deadlock when batches overlap in any order', async () => {
    await enqueueJobs(
      port,
      SCHEMA,
      Array.from({ length: 200 }, () => newJob(queue)),
    );
    const jobs: ClaimedJob[] = [];
    for (let left = true; left;) {
      const claimed = await claimJobs(port, SCHEMA, instanceId, [{ queue, limit: 7 }]);
      jobs.push(...claimed);
      left = claimed.length > 0;
    }
    const shuffled = () => jobs.toSorted(() => Math.random() - 0.5);
    const closers = await Promise.all(
      Array.from({ length: 6 }, async (_, closer) => {
        const own = await openPort(database);
        const order = shuffled();
        const won: string[] = [];
        for (let at = 0; at < order.length; at += 25) {
          const batch = order.slice(at, at + 25);
          if (closer % 2 === 0) {
            const stale = await completeAttempts(own, SCHEMA, batch);
            won.push(...batch.filter((job) => !stale.includes(job)).map(({ jobId }) => jobId));
          } else {
            const states = await settleAttempts(
              own,
              SCHEMA,
              batch.map((job) => settlement(job, 'failed')),
            );
            won.push(...batch.filter((_job, index) => states[index] !== undefined).map(({ jobId }) => jobId));
          }
        }
        return won;
      }),
    );
    expect(closers.flat().toSorted()).toEqual(jobs.map(({ jobId }) => jobId).toSorted());
    const { rows } = await database.query(
      'SELECT count(*)::int AS items, count(DISTINCT (x.claim_seq, item))::int AS different FROM awa.lease_claim_closures x, unnest(x.items) AS item WHERE x.lane_id = $1',
      [jobs[0]!.claim.laneId],
    );
    expect(rows).toEqual([{ items: 200, different: 200 }]);
  });
});
