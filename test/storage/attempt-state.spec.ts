import type { Client } from 'pg';
import { beforeEach, describe, expect, it } from 'vitest';
import { PgAdapter } from '../../lib/storage/adapters/pg.adapter.js';
import { cancelJobs } from '../../lib/storage/operations/cancel-jobs.js';
import type { ClaimedJob } from '../../lib/storage/operations/claim-jobs.js';
import {
  type AttemptOutcome,
  completeAttempts,
  settleAttempts,
} from '../../lib/storage/operations/close-attempts.js';
import { enqueueJobs } from '../../lib/storage/operations/enqueue-jobs.js';
import { getJob } from '../../lib/storage/operations/get-job.js';
import { deregisterInstance, rescueAttempts } from '../../lib/storage/operations/instances.js';
import { promoteDeferred } from '../../lib/storage/operations/promote-deferred.js';
import {
  type AttemptStateChange,
  saveAttemptStates,
} from '../../lib/storage/operations/save-attempt-states.js';
import type { SqlPort } from '../../lib/storage/sql-port.js';
import { until } from '../support/signals.js';
import {
  claimJobs,
  newJob,
  openLane,
  openPort,
  registerTestInstance,
  SCHEMA,
} from '../support/storage-fixture.js';
import { useTestDatabase } from '../support/test-database.js';

const database = useTestDatabase();

const PROGRESS = { percent: 40, message: 'half-way' };
const KEPT = {
  progress: { ...PROGRESS, updatedAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/) },
  checkpoint: { next: 7 },
};

let port: SqlPort;
let queue: string;
let instanceId: string;

beforeEach(async () => {
  ({ port, queue, instanceId } = await openLane(database));
});

const claim = (limit = 500) => claimJobs(port, SCHEMA, instanceId, [{ queue, limit }]);

async function claimNew(count = 1, overrides = {}): Promise<readonly ClaimedJob[]> {
  await enqueueJobs(
    port,
    SCHEMA,
    Array.from({ length: count }, () => newJob(queue, overrides)),
  );
  return claim();
}

const change = (job: ClaimedJob, rest: Partial<AttemptStateChange> = {}): AttemptStateChange => ({
  job,
  revision: 1,
  progress: PROGRESS,
  checkpointJson: '{"next":7}',
  ...rest,
});

const save = (changes: AttemptStateChange[], on = port) => saveAttemptStates(on, SCHEMA, changes);

const settle = (job: ClaimedJob, outcome: AttemptOutcome, on = port) =>
  settleAttempts(on, SCHEMA, [{ job, outcome, error: undefined, delayMs: 0 }]);

const completeSaved = (jobs: readonly ClaimedJob[], on = port) =>
  completeAttempts(on, SCHEMA, jobs, () => true);

async function rows(job: ClaimedJob): Promise<object[]> {
  const result = await database.query(
    'SELECT revision, progress, message, checkpoint FROM awa.attempt_state WHERE job_id = $1',
    [job.jobId],
  );
  return result.rows;
}

async function payload(job: ClaimedJob): Promise<Record<string, unknown>> {
  return JSON.parse((await getJob(port, SCHEMA, job.jobId))?.payloadJson ?? '{}') as Record<string, unknown>;
}

async function begin(): Promise<{ readonly client: Client; readonly port: SqlPort }> {
  const client = await database.client();
  await client.query('BEGIN');
  return { client, port: new PgAdapter(client) };
}

async function aSessionWaits(): Promise<void> {
  await until(
    async () => {
      const sql =
        "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
      return (await database.query(sql)).rowCount === 1;
    },
    { what: 'a session waiting for a lock' },
  );
}

describe('saving', () => {
  it('gives an open attempt a row, and readers what is in it', async () => {
    const [job, other] = (await claimNew(2)) as [ClaimedJob, ClaimedJob];
    expect(await save([change(job)])).toEqual(['saved']);
    expect(await rows(job)).toEqual([
      { revision: 1, progress: 40, message: 'half-way', checkpoint: { next: 7 } },
    ]);
    expect(await payload(job)).toEqual(KEPT);
    expect(await payload(other)).toEqual({});
  });

  it('keeps what a later save does not name, and takes a progress as a whole', async () => {
    const [job] = (await claimNew()) as [ClaimedJob];
    await save([change(job)]);
    const progress = { percent: 99.5, message: undefined };
    await save([change(job, { revision: 2, progress, checkpointJson: undefined })]);
    expect(await rows(job)).toEqual([
      { revision: 2, progress: 99.5, message: null, checkpoint: { next: 7 } },
    ]);
    await save([change(job, { revision: 3, progress: undefined, checkpointJson: 'null' })]);
    expect(await rows(job)).toEqual([{ revision: 3, progress: 99.5, message: null, checkpoint: null }]);
    await settle(job, 'error');
    expect(await payload(job)).toMatchObject({
      progress: { percent: 99.5, message: null },
      checkpoint: null,
    });
  });

  it('ignores one that is overtaken by its repetition', async () => {
    const [job] = (await claimNew()) as [ClaimedJob];
    await save([change(job, { revision: 5 })]);
    const late = change(job, { revision: 4, progress: { percent: 1, message: 'old' }, checkpointJson: '{}' });
    expect(await save([late])).toEqual(['saved']);
    expect(await rows(job)).toMatchObject([{ revision: 5, progress: 40, checkpoint: { next: 7 } }]);
  });

  it('is refused for a closed attempt, another lease and a claim that is not there; the rest is saved', async () => {
    const jobs = (await claimNew(4)) as [ClaimedJob, ClaimedJob, ClaimedJob, ClaimedJob];
    const [closed, second, third, open] = jobs;
    await completeSaved([closed]);
    const forged = { ...second, runLease: 2 };
    const nowhere = { ...third, claim: { ...third.claim, claimSeq: '999' } };
    const results = await save([closed, forged, nowhere, open].map((job) => change(job)));
    expect(results).toEqual(['stale', 'stale', 'stale', 'saved']);
    const saved = await Promise.all(jobs.map(async (job) => (await rows(job)).length));
    expect(saved).toEqual([0, 0, 0, 1]);
  });

  it('is refused under a snapshot of the transaction', async () => {
    const [job] = (await claimNew()) as [ClaimedJob];
    const client = await database.client();
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
    await expect(save([change(job)], new PgAdapter(client))).rejects.toMatchObject({ code: 'AW002' });
    await client.query('ROLLBACK');
  });

  it('updates in place: nothing for vacuum but what a page cleans up by itself', async () => {
    const [job] = (await claimNew()) as [ClaimedJob];
    const own = await openPort(database);
    const statement = { name: 'stats', text: 'SELECT pg_stat_force_next_flush()' };
    for (let revision = 1; revision <= 50; revision++) await save([change(job, { revision })], own);
    await own.query(statement, []);
    await own.query({ name: 'flushed', text: 'SELECT 1' }, []);
    const { rows: stats } = await database.query<{ updates: number; hot: number }>(
      `SELECT n_tup_upd::int AS updates, n_tup_hot_upd::int AS hot FROM pg_stat_user_tables
       WHERE schemaname = 'awa' AND relname = 'attempt_state'`,
    );
    expect(stats[0]?.updates).toBeGreaterThanOrEqual(49);
    expect(stats[0]?.hot).toBe(stats[0]?.updates);
  });
});

describe('what was saved', () => {
  it.each(['error', 'snoozed', 'released'] as const)(
    'goes on to the next attempt after %s',
    async (outcome) => {
      const [job] = (await claimNew(1, { payloadJson: '{"tags":["a"]}' })) as [ClaimedJob];
      await save([change(job)]);
      await settle(job, outcome);
      expect(await rows(job)).toEqual([]);
      expect(await payload(job)).toEqual({ tags: ['a'], ...KEPT });
      await promoteDeferred(port, SCHEMA, 100);
      const [next] = (await claim()) as [ClaimedJob];
      expect(JSON.parse(next.payloadJson!)).toEqual({ tags: ['a'], ...KEPT });

      // The next one may leave it as it is, or replace a part of it.
      await save([change(next, { progress: undefined, checkpointJson: '{"next":8}' })]);
      expect(await payload(next)).toMatchObject({ progress: PROGRESS, checkpoint: { next: 8 } });
      await settle(next, 'failed');
      expect(await payload(next)).toMatchObject({ progress: PROGRESS, checkpoint: { next: 8 } });
      expect(await rows(next)).toEqual([]);
    },
  );

  it.each(['failed', 'invalid', 'cancelled'] as const)(
    'stays with a job that ended by %s',
    async (outcome) => {
      const [job, plain] = (await claimNew(2)) as [ClaimedJob, ClaimedJob];
      await save([change(job)]);
      await settle(job, outcome);
      await settle(plain, outcome);
      expect(await rows(job)).toEqual([]);
      expect(await payload(job)).toEqual(KEPT);
      expect(await payload(plain)).toEqual({});
    },
  );

  it('stays when somebody cancels the job', async () => {
    const [job] = (await claimNew()) as [ClaimedJob];
    await save([change(job)]);
    await cancelJobs(port, SCHEMA, [job.jobId], 'not wanted');
    expect(await rows(job)).toEqual([]);
    expect(await payload(job)).toMatchObject({ ...KEPT, errors: [{ error: 'not wanted' }] });
  });

  it('goes on when the process is gone and the attempt is rescued', async () => {
    const [job] = (await claimNew()) as [ClaimedJob];
    await save([change(job)]);
    await deregisterInstance(port, SCHEMA, instanceId);
    await rescueAttempts(port, SCHEMA, await registerTestInstance(port), 0, 100);
    expect(await rows(job)).toEqual([]);
    expect(await payload(job)).toMatchObject({ ...KEPT, errors: [{ attempt: 1 }] });
  });

  it('is dropped by a success, of its own attempt only', async () => {
    const [job, other, third] = (await claimNew(3)) as [ClaimedJob, ClaimedJob, ClaimedJob];
    await save([change(job), change(other)]);
    expect(await completeSaved([job, third])).toEqual([]);
    expect(await rows(job)).toEqual([]);
    expect(await rows(other)).toHaveLength(1);
  });

  it('costs an attempt nothing that saves nothing: its completion does not touch the table', async () => {
    const [job, other] = (await claimNew(2)) as [ClaimedJob, ClaimedJob];
    const client = await database.ownerClient();
    const own = new PgAdapter(client);
    await client.query('BEGIN');
    await client.query('ALTER TABLE awa.attempt_state RENAME TO gone');
    expect(await completeAttempts(own, SCHEMA, [job])).toEqual([]);
    await expect(completeSaved([other], own)).rejects.toThrow('attempt_state');
    await client.query('ROLLBACK');
  });
});

describe('a save and a closure at the same time', () => {
  it('a success that waited for the save sees it, and drops it', async () => {
    const [job] = (await claimNew()) as [ClaimedJob];
    const saver = await begin();
    expect(await save([change(job)], saver.port)).toEqual(['saved']);
    const completing = completeSaved([job]);
    await aSessionWaits();
    await saver.client.query('COMMIT');
    expect(await completing).toEqual([]);
    expect(await rows(job)).toEqual([]);
  });

  it('a failure that waited for the save sees it, and hands it on', async () => {
    const [job] = (await claimNew()) as [ClaimedJob];
    const saver = await begin();
    await save([change(job)], saver.port);
    const settling = settle(job, 'error');
    await aSessionWaits();
    await saver.client.query('COMMIT');
    expect(await settling).toEqual(['retryable']);
    expect(await rows(job)).toEqual([]);
    expect(await payload(job)).toEqual(KEPT);
  });

  it('a save does not wait for a closure, and comes too late after it', async () => {
    const [job, neighbour] = (await claimNew(2)) as [ClaimedJob, ClaimedJob];
    const [elsewhere] = (await claimNew()) as [ClaimedJob];
    const closer = await begin();
    await completeSaved([job], closer.port);
    const changes = [job, elsewhere, neighbour].map((each) => change(each));
    expect(await save(changes)).toEqual(['busy', 'saved', 'busy']);
    await closer.client.query('COMMIT');
    expect(await save(changes)).toEqual(['stale', 'saved', 'saved']);
    expect(await rows(job)).toEqual([]);
    expect(await rows(neighbour)).toHaveLength(1);
  });

  it('in any order and number: no row is left of an attempt that is over', async () => {
    await claimNew(0);
    const jobs: ClaimedJob[] = [];
    for (let n = 0; n < 12; n++) jobs.push(...(await claimNew(8)));
    const shuffled = () => jobs.toSorted(() => Math.random() - 0.5);
    const results = new Set<string>();
    const closing = new AbortController();
    const savers = Array.from({ length: 3 }, async () => {
      const own = await openPort(database);
      for (let revision = 1; !closing.signal.aborted; revision++) {
        const changes = shuffled().slice(0, 10);
        for (const result of await save(
          changes.map((job) => change(job, { revision })),
          own,
        ))
          results.add(result);
      }
    });
    const closers = Array.from({ length: 3 }, async (_, closer) => {
      const own = await openPort(database);
      for (const job of shuffled()) {
        if (closer === 0) await completeSaved([job], own);
        else await settle(job, 'failed', own);
      }
    });
    await Promise.all(closers);
    closing.abort();
    await Promise.all(savers);
    expect([...results]).toEqual(expect.arrayContaining(['saved', 'stale']));
    const { rows: left } = await database.query(
      'SELECT job_id FROM awa.attempt_state WHERE job_id = ANY ($1::bigint[])',
      [jobs.map(({ jobId }) => jobId)],
    );
    expect(left).toEqual([]);
  });
});
