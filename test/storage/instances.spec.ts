import { beforeEach, describe, expect, it } from 'vitest';
import type { ClaimedJob } from '../../lib/storage/operations/claim-jobs.js';
import { PgAdapter } from '../../lib/storage/adapters/pg.adapter.js';
import { completeAttempts } from '../../lib/storage/operations/close-attempts.js';
import { enqueueJobs } from '../../lib/storage/operations/enqueue-jobs.js';
import { getJob } from '../../lib/storage/operations/get-job.js';
import { heartbeat, releaseUnknownClaims, rescueAttempts } from '../../lib/storage/operations/instances.js';
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
let observer: string;

/** Contact that has been unbroken for long, in milliseconds. */
const HOURS = 36_000_000;

beforeEach(async () => {
  port = await openPort(database);
  observer = await registerTestInstance(port);
  queue = await registerTestQueue(port);
});

const enqueue = (count: number, overrides = {}) =>
  enqueueJobs(
    port,
    SCHEMA,
    Array.from({ length: count }, () => newJob(queue, overrides)),
  );

const claim = (instanceId: string, limit = 100) => claimJobs(port, SCHEMA, instanceId, [{ queue, limit }]);

const minutes = (ms = Number.NaN): number => Math.round(ms / 60_000);

const states = async (ids: readonly string[]) =>
  Promise.all(ids.map(async (id) => (await getJob(port, SCHEMA, id))?.state));

/** Makes the last heartbeat of an instance older than it promised. */
async function silence(instanceId: string): Promise<void> {
  await database.query(
    "UPDATE awa.runtime_instances SET heartbeat_at = now() - interval '2 hours', stale_after = '1 ms' WHERE instance_id = $1",
    [instanceId],
  );
}

describe('rescue', () => {
  it('takes the attempts of an instance that fell silent, and only those', async () => {
    const dead = await registerTestInstance(port);
    const alive = await registerTestInstance(port);
    const ids = await enqueue(4);
    const [done, ...open] = (await claim(dead, 3)) as [ClaimedJob, ...ClaimedJob[]];
    await claim(alive);
    await completeAttempts(port, SCHEMA, [done]);

    await silence(dead);
    expect(await rescueAttempts(port, SCHEMA, observer, HOURS, 100)).toBe(2);
    expect(await states(ids)).toEqual(['completed', 'retryable', 'retryable', 'running']);
    expect(await getJob(port, SCHEMA, open[0]!.jobId)).toMatchObject({ attempt: 1, runLease: 1 });
    expect(await rescueAttempts(port, SCHEMA, observer, HOURS, 100)).toBe(0);

    // The dead come back too late.
    expect(await completeAttempts(port, SCHEMA, open)).toEqual(open);
    expect(await heartbeat(port, SCHEMA, dead)).toBe(false);
    await expect(claim(dead)).rejects.toMatchObject({ code: 'AW004' });
    expect(await heartbeat(port, SCHEMA, alive)).toBe(true);
  });

  it('counts: a job that takes its process with it fails when its attempts are used up', async () => {
    const [id] = (await enqueue(1, { maxAttempts: 1 })) as [string];
    const dead = await registerTestInstance(port);
    await claim(dead);
    await silence(dead);
    await rescueAttempts(port, SCHEMA, observer, HOURS, 100);
    const job = await getJob(port, SCHEMA, id);
    expect(job).toMatchObject({ state: 'failed', attempt: 1 });
    expect(job!.payloadJson).toContain('gone');
  });

  it('goes past a claim that somebody is closing, and takes the rest of it later', async () => {
    const dead = await registerTestInstance(port);
    await enqueue(2);
    const [first, second] = (await claim(dead)) as [ClaimedJob, ClaimedJob];
    await silence(dead);
    const closer = await database.client();
    await closer.query('BEGIN');
    await closer.query('SELECT FROM awa.lease_claims WHERE lane_id = $1 FOR UPDATE', [first.claim.laneId]);
    expect(await rescueAttempts(port, SCHEMA, observer, HOURS, 100)).toBe(0);
    await closer.query('ROLLBACK');
    await completeAttempts(port, SCHEMA, [first]);
    expect(await rescueAttempts(port, SCHEMA, observer, HOURS, 100)).toBe(1);
    expect(await states([first.jobId, second.jobId])).toEqual(['completed', 'retryable']);
  });

  it('is not held up by attempts that cannot be ended: all others are taken, in however many claims', async () => {
    const dead = await registerTestInstance(port);
    const ids = await enqueue(40);
    for (let left = true; left;) left = (await claim(dead, 4)).length > 0;
    const damaged = [ids[0], ids[1], ids[4], ids[8], ids[9], ids[10], ids[11], ids[39]];
    await database.query(`UPDATE awa.ready_entries SET payload = '{"errors": 7}' WHERE job_id = ANY ($1)`, [
      damaged,
    ]);
    await silence(dead);
    const refused: string[] = [];
    const onRefused = (what: string) => refused.push(what);
    // Pages smaller than the number of claims with a damaged row.
    expect(await rescueAttempts(port, SCHEMA, observer, HOURS, 2, onRefused)).toBe(32);
    expect(refused.map((what) => /^job (\d+): cannot get array length/.exec(what)?.[1])).toEqual(damaged);
    const expected = ids.map((id) => (damaged.includes(id) ? 'running' : 'retryable'));
    expect(await states(ids)).toEqual(expected);
    await database.query('UPDATE awa.ready_entries SET payload = NULL WHERE job_id = ANY ($1)', [damaged]);
    expect(await rescueAttempts(port, SCHEMA, observer, HOURS, 2)).toBe(8);
  });

  it('shares the dead among rescuers without taking an attempt twice', async () => {
    const dead = await registerTestInstance(port);
    await enqueue(300);
    for (let left = true; left;) left = (await claim(dead, 10)).length > 0;
    await silence(dead);
    const rescuers = await Promise.all([1, 2, 3, 4].map(() => openPort(database)));
    let rescued = 0;
    for (let round = 0; round < 10; round++) {
      const counts = await Promise.all(
        rescuers.map((own) => rescueAttempts(own, SCHEMA, observer, HOURS, 100)),
      );
      rescued += counts.reduce((sum, count) => sum + count, 0);
    }
    expect(rescued).toBe(300);
    const { rows } = await database.query(
      'SELECT count(*)::int AS jobs FROM awa.deferred_jobs d JOIN awa.queue_lanes l USING (lane_id) WHERE l.queue = $1',
      [queue],
    );
    expect(rows).toEqual([{ jobs: 300 }]);
  });
});

describe('who is declared lost', () => {
  it('is known beforehand: a rescue tells when the next one could be', async () => {
    await database.query('DELETE FROM awa.runtime_instances');
    const judge = await registerTestInstance(port);
    const next = async (contactMs = HOURS): Promise<number | undefined> => {
      const told: (number | undefined)[] = [];
      await rescueAttempts(port, SCHEMA, judge, contactMs, 100, undefined, undefined, (inMs) =>
        told.push(inMs),
      );
      expect(told).toHaveLength(1);
      return told[0];
    };
    expect(await next()).toBeUndefined();
    const late = await registerTestInstance(port, 3_600_000);
    await registerTestInstance(port, 7_200_000);
    expect(minutes(await next())).toBe(60);
    // Without contact nobody can be judged now.
    expect(minutes(await next(0))).toBe(60);
    await silence(late);
    expect(minutes(await next())).toBe(120);
  });

  it('is nobody whose silence is not longer than the contact of the one who judges', async () => {
    const silent = await registerTestInstance(port);
    await enqueue(1);
    await claim(silent);
    await silence(silent);
    await database.query("UPDATE awa.runtime_instances SET stale_after = '1 minute' WHERE instance_id = $1", [
      silent,
    ]);
    expect(await rescueAttempts(port, SCHEMA, observer, 59_000, 100)).toBe(0);
    expect(await heartbeat(port, SCHEMA, silent)).toBe(true);
    await silence(silent);
    expect(await rescueAttempts(port, SCHEMA, observer, HOURS, 100)).toBe(1);
    expect(await heartbeat(port, SCHEMA, silent)).toBe(false);
  });

  it('is not the one who judges', async () => {
    await enqueue(1);
    const jobs = await claim(observer);
    await silence(observer);
    expect(await rescueAttempts(port, SCHEMA, observer, HOURS, 100)).toBe(0);
    expect(await heartbeat(port, SCHEMA, observer)).toBe(true);
    expect(await completeAttempts(port, SCHEMA, jobs)).toEqual([]);
  });

  it('leaves nothing behind: a claim that was committing when its instance was struck off is found later', async () => {
    const gone = await registerTestInstance(port);
    const claimer = await database.client();
    const ids = await enqueue(2);
    await claimer.query('BEGIN');
    expect(await claimJobs(new PgAdapter(claimer), SCHEMA, gone, [{ queue, limit: 10 }])).toHaveLength(2);
    await silence(gone);
    expect(await rescueAttempts(port, SCHEMA, observer, HOURS, 100)).toBe(0);
    await claimer.query('COMMIT');
    expect(await rescueAttempts(port, SCHEMA, observer, HOURS, 100)).toBe(2);
    expect(await states(ids)).toEqual(['retryable', 'retryable']);
  });
});

describe('claims without an answer', () => {
  it('go back untouched, those that are known stay', async () => {
    const instanceId = await registerTestInstance(port);
    const ids = await enqueue(4);
    const known = await claim(instanceId, 2);
    const unknown = await claim(instanceId, 2);
    expect(await releaseUnknownClaims(port, SCHEMA, instanceId, [known[0]!.claim])).toBe(2);
    expect(await states(ids)).toEqual(['running', 'running', 'available', 'available']);
    const again = await claim(instanceId);
    expect(again.map(({ jobId }) => jobId)).toEqual(unknown.map(({ jobId }) => jobId));
    expect(again).toMatchObject([
      { attempt: 1, runLease: 2 },
      { attempt: 1, runLease: 2 },
    ]);
  });
});
