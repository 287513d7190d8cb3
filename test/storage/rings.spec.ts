import { beforeEach, describe, expect, it } from 'vitest';
import { PgAdapter } from '../../lib/storage/adapters/pg.adapter.js';
import type { ClaimedJob } from '../../lib/storage/operations/claim-jobs.js';
import { completeAttempts, settleAttempts } from '../../lib/storage/operations/close-attempts.js';
import { enqueueJobs } from '../../lib/storage/operations/enqueue-jobs.js';
import { getJob } from '../../lib/storage/operations/get-job.js';
import {
  listRingSegments,
  pruneRing,
  type RingName,
  rotateRing,
  STILL_KEPT,
} from '../../lib/storage/operations/rings.js';
import type { SqlPort } from '../../lib/storage/sql-port.js';
import { RingsTask } from '../../lib/maintenance/rings.task.js';
import { until } from '../support/signals.js';
import { claimJobs, emptyTables, newJob, openLane, openPort, SCHEMA } from '../support/storage-fixture.js';
import { useTestDatabase } from '../support/test-database.js';

const database = useTestDatabase();

/** In milliseconds. */
const HOURS = 36_000_000;
const slow = { periodMs: HOURS, maxSegmentBytes: 1e9, retentionMs: 10 * HOURS, maxBytes: 1e9 };

let port: SqlPort;
let queue: string;
let instanceId: string;

// Rings are one for all queues: each test begins with empty ones.
beforeEach(async () => {
  await emptyTables(database);
  ({ port, queue, instanceId } = await openLane(database));
});

const enqueue = (count = 1, on = port) =>
  enqueueJobs(
    on,
    SCHEMA,
    Array.from({ length: count }, () => newJob(queue)),
  );
const claim = (limit = 100) => claimJobs(port, SCHEMA, instanceId, [{ queue, limit }]);
const segments = async (ring: RingName) =>
  (await listRingSegments(port, SCHEMA)).filter((segment) => segment.ring === ring);
const current = async (ring: RingName) => (await segments(ring)).at(-1)!;
const state = async (id: string) => (await getJob(port, SCHEMA, id))?.state;

/** Seals the current generation and gives it. */
async function seal(ring: RingName) {
  const segment = await current(ring);
  expect(await rotateRing(port, SCHEMA, segment)).toBeUndefined();
  return segment;
}

const isWaiting = async () =>
  (
    await database.query(
      "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%prune_ring%'",
    )
  ).rowCount === 1;

describe('rotation', () => {
  it('is a compare-and-swap: of two that saw one generation, one rotates', async () => {
    const [id] = (await enqueue()) as [string];
    const seen = await current('ready');
    const others = await Promise.all([1, 2, 3, 4].map(() => openPort(database)));
    const answers = await Promise.all(others.map((own) => rotateRing(own, SCHEMA, seen)));
    expect(answers.filter((blocker) => blocker === undefined)).toHaveLength(1);
    expect(Number((await current('ready')).generation)).toBe(Number(seen.generation) + 1);

    const next = await enqueue();
    expect((await claim()).map(({ jobId, readySlot }) => [jobId, readySlot])).toEqual([
      [id, seen.slot],
      [next[0], (await current('ready')).slot],
    ]);
  });

  it('leaves an idle ring alone', async () => {
    for (const ring of ['ready', 'claim', 'done'] as const) {
      await enqueue();
      await settleAttempts(
        port,
        SCHEMA,
        (await claim()).map((job) => ({ job, outcome: 'failed', error: 'no', delayMs: 0 })),
      );
      const sealed = await seal(ring);
      expect(await rotateRing(port, SCHEMA, await current(ring))).toBe('nothing to seal');
      expect(await pruneRing(port, SCHEMA, sealed)).toBeUndefined();
      expect(await rotateRing(port, SCHEMA, await current(ring))).toBe('nothing to seal');
    }
  });

  it('is not even tried by the task on an idle ring, which it looks at less often, and is when there is something again', async () => {
    const asked: string[] = [];
    const counting: SqlPort = {
      query: (statement, parameters) => {
        asked.push(statement.name.replace(`${SCHEMA.channel}_`, ''));
        return port.query(statement, parameters);
      },
    };
    const policy = { periodMs: 0, maxSegmentBytes: 1e9, retentionMs: HOURS, maxBytes: 1e9 };
    const policies = { ready: policy, claim: { ...policy, periodMs: HOURS }, done: policy };
    const busy = new RingsTask(counting, SCHEMA, policies);
    await busy.run();
    await busy.run();
    // The claim ring may be anything: its segment is too young to say.
    expect(asked.splice(0)).toEqual(['ring_segments', 'ring_segments']);

    await enqueue();
    await busy.run();
    expect(asked.splice(0)).toEqual(['ring_segments', 'rotate_ring']);
    expect(await segments('ready')).toHaveLength(2);

    await database.query("UPDATE awa.ring_rotations SET rotated_at = rotated_at - interval '1 day'");
    const idle = new RingsTask(counting, SCHEMA, { ready: slow, claim: slow, done: slow });
    expect(await idle.run()).toBe(true);
    expect(await idle.run()).toBe(false);
    expect(asked.splice(0)).toEqual(['ring_segments']);
    await claim();
    // It leads anew, so others may have left something behind.
    idle.begin();
    expect(await idle.run()).toBe(true);
    expect(asked).toEqual(['ring_segments', 'rotate_ring']);
    expect(await segments('claim')).toHaveLength(2);
  });

  it('says so when no slot is free, and work goes on', async () => {
    const ids: string[] = [];
    let blocker: string | undefined;
    for (let turn = 0; turn < 10 && blocker === undefined; turn++) {
      ids.push(...(await enqueue()));
      blocker = await rotateRing(port, SCHEMA, await current('ready'));
    }
    expect(blocker).toBe('no free slot');
    const jobs = await claim();
    expect(jobs.map(({ jobId }) => jobId)).toEqual(ids);
    await completeAttempts(port, SCHEMA, jobs);
    for (const segment of (await segments('ready')).slice(0, -1)) {
      expect(await pruneRing(port, SCHEMA, segment)).toBeUndefined();
    }
    expect(await rotateRing(port, SCHEMA, await current('ready'))).toBeUndefined();
  });
});

describe('pruning the ready ring', () => {
  it('keeps a completed job for its time, however long ago its segment was sealed', async () => {
    const [id] = (await enqueue()) as [string];
    const sealed = await seal('ready');
    await database.query("UPDATE awa.ring_rotations SET rotated_at = rotated_at - interval '1 day'");
    await completeAttempts(port, SCHEMA, await claim());
    expect(await pruneRing(port, SCHEMA, sealed, 60_000)).toBe(STILL_KEPT);
    expect(await state(id)).toBe('completed');
    await database.query(
      "UPDATE awa.completion_batches SET completed_at = completed_at - interval '1 minute'",
    );
    expect(await pruneRing(port, SCHEMA, sealed, 60_000)).toBeUndefined();
  });

  it('waits for jobs that wait and for jobs that run, and names them', async () => {
    const [id] = (await enqueue()) as [string];
    const sealed = await seal('ready');
    expect(await pruneRing(port, SCHEMA, await current('ready'))).toBe('not a sealed generation');
    expect(await pruneRing(port, SCHEMA, sealed)).toBe(`jobs of queue "${queue}" wait in it`);
    const jobs = await claim();
    expect(await pruneRing(port, SCHEMA, sealed)).toBe(`job ${id} of it runs`);
    expect(await completeAttempts(port, SCHEMA, jobs)).toEqual([]);
    expect(await state(id)).toBe('completed');
    expect(await pruneRing(port, SCHEMA, sealed)).toBeUndefined();
    expect(await state(id)).toBeUndefined();
    expect(await pruneRing(port, SCHEMA, sealed)).toBe('not a sealed generation');
    for (const table of ['ready_entries', 'completion_batches']) {
      expect(
        (await database.query(`SELECT FROM awa.${table} WHERE ready_slot = ${sealed.slot}`)).rowCount,
      ).toBe(0);
    }
  });

  it('keeps what moved on: a retried job has its body elsewhere', async () => {
    const [id] = (await enqueue()) as [string];
    const sealed = await seal('ready');
    const settle = (await claim()).map(
      (job) => ({ job, outcome: 'error', error: 'no', delayMs: 60_000 }) as const,
    );
    await settleAttempts(port, SCHEMA, settle);
    expect(await pruneRing(port, SCHEMA, sealed)).toBeUndefined();
    expect(await getJob(port, SCHEMA, id)).toMatchObject({ state: 'retryable', argsJson: '{}' });
  });

  it('gives up when somebody reads the slot, instead of queueing everybody behind it', async () => {
    await enqueue();
    const sealed = await seal('ready');
    await completeAttempts(port, SCHEMA, await claim());
    const reader = await database.client();
    await reader.query('BEGIN');
    await reader.query('SELECT count(*) FROM awa.ready_entries');
    expect(await pruneRing(port, SCHEMA, sealed)).toBe('its tables are in use');
    await reader.query('ROLLBACK');
    expect(await pruneRing(port, SCHEMA, sealed)).toBeUndefined();
  });

  it('proves again under its lock: a job that was committed between proof and lock stays', async () => {
    const late = await database.client();
    await late.query('BEGIN');
    const [id] = (await enqueue(1, new PgAdapter(late))) as [string];
    const sealed = await current('ready');
    await enqueue();
    await seal('ready');
    await completeAttempts(port, SCHEMA, await claim());

    const pruner = await database.client();
    const pruning = pruner.query<{ blocker: string }>(
      "SELECT awa.prune_ring('ready', $1, p_patience => '1 minute') AS blocker",
      [sealed.generation],
    );
    await until(isWaiting, { what: 'the pruner waiting for the lock' });
    await late.query('COMMIT');
    expect((await pruning).rows[0]!.blocker).toBe(`jobs of queue "${queue}" wait in it`);
    const jobs = await claim();
    expect(jobs.map(({ jobId }) => jobId)).toEqual([id]);
    await completeAttempts(port, SCHEMA, jobs);
    expect(await pruneRing(port, SCHEMA, sealed)).toBeUndefined();
  });

  it('loses nothing of an enqueue that had read the slot before it was sealed and pruned', async () => {
    await enqueue();
    const sealed = await seal('ready');
    await completeAttempts(port, SCHEMA, await claim());
    expect(await pruneRing(port, SCHEMA, sealed)).toBeUndefined();
    // What such an enqueue does when it goes on.
    const { rows } = await database.query<{ id: string }>(
      `INSERT INTO awa.ready_entries (job_id, run_at, created_at, lane_id, attempt, run_lease, ready_slot, max_attempts, kind, args)
       SELECT nextval('awa.job_ids'), now(), now(), lane_id, 0, 0, $2, 25, 'test', '{}' FROM awa.queue_lanes
       WHERE queue = $1 AND priority = 2 RETURNING job_id::text AS id`,
      [queue, sealed.slot],
    );
    const jobs = await claim();
    expect(jobs.map(({ jobId }) => jobId)).toEqual([rows[0]!.id]);
    expect(await completeAttempts(port, SCHEMA, jobs)).toEqual([]);
    expect(await state(rows[0]!.id)).toBe('completed');
  });
});

describe('pruning the claim ring', () => {
  it('carries open attempts on: they are completed, or refused, as if nothing had happened', async () => {
    await enqueue(4);
    const jobs = (await claim()) as [ClaimedJob, ClaimedJob, ClaimedJob, ClaimedJob];
    await completeAttempts(port, SCHEMA, [jobs[0]]);
    for (let turn = 0; turn < 6; turn++) {
      await enqueue();
      await completeAttempts(port, SCHEMA, await claim());
      expect(await pruneRing(port, SCHEMA, await seal('claim'))).toBeUndefined();
    }
    expect(await state(jobs[1].jobId)).toBe('running');
    expect(await completeAttempts(port, SCHEMA, [jobs[0], jobs[1]])).toEqual([jobs[0]]);
    expect(
      await settleAttempts(port, SCHEMA, [{ job: jobs[2], outcome: 'failed', error: 'no', delayMs: 0 }]),
    ).toEqual(['failed']);
    expect(await completeAttempts(port, SCHEMA, [jobs[2], jobs[3]])).toEqual([jobs[2]]);
  });

  it('carries the cursor of a lane on: nothing is claimed twice, and what was completed stays so', async () => {
    const ids = await enqueue(3);
    await completeAttempts(port, SCHEMA, await claim());
    expect(await pruneRing(port, SCHEMA, await seal('claim'))).toBeUndefined();
    expect(await claim()).toEqual([]);
    expect(await Promise.all(ids.map(state))).toEqual(['completed', 'completed', 'completed']);
    expect((await getJob(port, SCHEMA, ids[0]!))?.finalizedAt).toBeInstanceOf(Date);
    const next = await enqueue();
    expect((await claim()).map(({ jobId }) => jobId)).toEqual(next);
  });

  it('lets a closer that waited for the lock find its claim where it is now', async () => {
    await enqueue();
    const jobs = await claim();
    const sealed = await seal('claim');
    const holder = await database.ownerClient();
    await holder.query('BEGIN');
    await holder.query(`LOCK TABLE awa.lease_claims_${sealed.slot} IN ACCESS EXCLUSIVE MODE`);
    const completing = completeAttempts(port, SCHEMA, jobs);
    await until(
      async () =>
        (
          await database.query(
            "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%complete_attempts%'",
          )
        ).rowCount === 1,
      { what: 'the closer waiting' },
    );
    const { rows } = await holder.query<{ blocker: string | null }>(
      "SELECT awa.prune_ring('claim', $1) AS blocker",
      [sealed.generation],
    );
    expect(rows).toEqual([{ blocker: null }]);
    await holder.query('COMMIT');
    expect(await completing).toEqual([]);
    expect(await state(jobs[0]!.jobId)).toBe('completed');
  });
});

describe('pruning failed and cancelled jobs', () => {
  it('drops them when their generation goes', async () => {
    const [id] = (await enqueue()) as [string];
    const settle = (await claim()).map(
      (job) => ({ job, outcome: 'failed', error: 'no', delayMs: 0 }) as const,
    );
    await settleAttempts(port, SCHEMA, settle);
    const ready = await seal('ready');
    expect(await pruneRing(port, SCHEMA, ready)).toBeUndefined();
    expect(await state(id)).toBe('failed');
    expect(await pruneRing(port, SCHEMA, await seal('done'))).toBeUndefined();
    expect(await state(id)).toBeUndefined();
  });
});
