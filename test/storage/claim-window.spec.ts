import { beforeEach, describe, expect, it } from 'vitest';
import { PgAdapter } from '../../lib/storage/adapters/pg.adapter.js';
import { cancelJobs } from '../../lib/storage/operations/cancel-jobs.js';
import { claimJobs as claimWithMore } from '../../lib/storage/operations/claim-jobs.js';
import { enqueueJobs } from '../../lib/storage/operations/enqueue-jobs.js';
import type { SqlPort } from '../../lib/storage/sql-port.js';
import { sharedBlocks } from '../support/shared-blocks.js';
import { claimJobs, newJob, openLane, registerTestQueue, SCHEMA } from '../support/storage-fixture.js';
import { useTestDatabase } from '../support/test-database.js';

const database = useTestDatabase();

let port: SqlPort;
let queue: string;
let instanceId: string;

beforeEach(async () => {
  ({ port, queue, instanceId } = await openLane(database));
});

const claim = async (limit = 10, on = port) =>
  (await claimJobs(on, SCHEMA, instanceId, [{ queue, limit }])).map(({ jobId }) => jobId);

const enqueue = (count = 1, overrides = {}, on = port) =>
  enqueueJobs(
    on,
    SCHEMA,
    Array.from({ length: count }, () => newJob(queue, overrides)),
  );

/** Shared blocks that a claim touches. */
const claimBlocks = (limit: number) =>
  sharedBlocks(database, 'SELECT * FROM awa.claim_jobs($1, $2, $3)', [instanceId, [queue], [limit]]);

async function openTransaction() {
  const client = await database.client();
  await client.query('BEGIN');
  return {
    port: new PgAdapter(client),
    commit: () => client.query('COMMIT'),
    rollback: () => client.query('ROLLBACK'),
  };
}

describe('the claim window', () => {
  it('gives jobs that were committed beside an open transaction, and those of the transaction when it commits', async () => {
    const open = await openTransaction();
    const late = await enqueue(2, {}, open.port);
    const early = await enqueue(3);

    expect(await claim()).toEqual(early);
    const between = await enqueue(1);
    expect(await claim()).toEqual(between);
    expect(await claim()).toEqual([]);

    await open.commit();
    const after = await enqueue(1);
    // The older transaction's come first.
    expect(await claim()).toEqual([...late, ...after]);
    expect(await claim()).toEqual([]);
  });

  it('never gives the jobs of a transaction that rolls back', async () => {
    const open = await openTransaction();
    await enqueue(2, {}, open.port);
    const kept = await enqueue(1);
    expect(await claim()).toEqual(kept);
    await open.rollback();
    expect(await claim()).toEqual([]);
  });

  it('takes a window in portions, without skipping what commits meanwhile', async () => {
    const open = await openTransaction();
    const late = await enqueue(3, {}, open.port);
    const early = await enqueue(5);
    expect(await claim(2)).toEqual(early.slice(0, 2));
    await open.commit();
    const after = await enqueue(2);
    expect(await claim(2)).toEqual(early.slice(2, 4));
    const rest: string[] = [];
    for (let jobs = await claim(2); jobs.length > 0; jobs = await claim(2)) rest.push(...jobs);
    expect(rest).toEqual([early[4], ...late, ...after]);
  });

  it('keeps the order of one lane and prefers the more urgent lane', async () => {
    const low = await enqueue(2, { priority: 4 });
    const normal = await enqueue(2);
    const urgent = await enqueue(2, { priority: 1 });
    expect(await claim(5)).toEqual([...urgent, ...normal, low[0]]);
    expect(await claim(5)).toEqual([low[1]]);
  });

  it('goes past a lane that somebody else is claiming from', async () => {
    await enqueue(1, { priority: 1 });
    const normal = await enqueue(1);
    const other = await database.client();
    await other.query('BEGIN');
    await other.query(
      `SELECT FROM awa.queue_claim_heads WHERE lane_id = (SELECT lane_id FROM awa.queue_lanes WHERE queue = $1 AND priority = 1) FOR UPDATE`,
      [queue],
    );
    expect(await claim()).toEqual(normal);
    await other.query('ROLLBACK');
    expect(await claim()).toHaveLength(1);
  });

  it('writes nothing when there is nothing to claim', async () => {
    await enqueue(3);
    await claim();
    const claims = async () => (await database.query('SELECT * FROM awa.lease_claims')).rowCount;
    const before = { claims: await claims(), nextXid: await nextXid() };
    for (let look = 0; look < 20; look++) expect(await claim()).toEqual([]);
    expect({ claims: await claims(), nextXid: await nextXid() }).toEqual(before);
  });

  it('takes no more bytes at once than a connection buffers, and says that there is more', async () => {
    const argsJson = JSON.stringify('x'.repeat(400_000));
    // Not compressible: what counts is what is sent.
    await database.query('ALTER TABLE awa.ready_entries_0 ALTER COLUMN args SET STORAGE EXTERNAL');
    const ids = await enqueue(5, { argsJson });
    const claims = [];
    for (let turn = 0; turn < 3; turn++)
      claims.push(await claimWithMore(port, SCHEMA, instanceId, [{ queue, limit: 10 }]));
    expect(claims.map(({ jobs }) => jobs.map(({ jobId }) => jobId))).toEqual([
      ids.slice(0, 2),
      ids.slice(2, 4),
      ids.slice(4),
    ]);
    expect(claims.map(({ more }) => more)).toEqual([[queue], [queue], []]);
    const [large] = await enqueue(1, { argsJson: JSON.stringify('x'.repeat(3_000_000)) });
    expect(await claim()).toEqual([large]);
  });

  it('says of a lane that somebody else is claiming from that it has jobs', async () => {
    await enqueue(1);
    const other = await database.client();
    await other.query('BEGIN');
    await other.query(
      'SELECT FROM awa.queue_claim_heads WHERE lane_id IN (SELECT lane_id FROM awa.queue_lanes WHERE queue = $1) FOR UPDATE',
      [queue],
    );
    expect(await claimWithMore(port, SCHEMA, instanceId, [{ queue, limit: 10 }])).toEqual({
      jobs: [],
      more: [],
      contended: [queue],
      refused: [],
    });
    await other.query('ROLLBACK');
  });

  it('refuses to claim with a cursor that is ahead of this cluster, instead of passing new jobs over', async () => {
    await enqueue(1);
    const jobs = await claimJobs(port, SCHEMA, instanceId, [{ queue, limit: 10 }]);
    await database.query(
      "UPDATE awa.lease_claims SET window_cur = '900000000:900000000:' WHERE lane_id = $1",
      [jobs[0]!.claim.laneId],
    );
    await enqueue(1, { priority: 1 });
    await enqueue(1);
    await database.query(
      "UPDATE awa.lease_claims SET window_prev = '800000000:800000000:', pos_xid = '1', pos_job_id = 1 WHERE lane_id = $1",
      [jobs[0]!.claim.laneId],
    );
    await expect(claim()).rejects.toMatchObject({ code: 'AW006' });
  });

  it('refuses to claim where its snapshots would not hold', async () => {
    await enqueue(1);
    const client = await database.client();
    const own = new PgAdapter(client);
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
    await expect(claim(1, own)).rejects.toMatchObject({ code: 'AW002' });
    await client.query('ROLLBACK');
    await client.query('BEGIN');
    await enqueue(1, {}, own);
    await expect(claim(1, own)).rejects.toMatchObject({ code: 'AW003' });
    await client.query('ROLLBACK');
    expect(await claim()).toHaveLength(1);
  });
});

describe('a claim from several queues', () => {
  let other: string;

  beforeEach(async () => {
    other = await registerTestQueue(port);
  });

  const enqueueOther = (count: number, overrides = {}) =>
    enqueueJobs(
      port,
      SCHEMA,
      Array.from({ length: count }, () => newJob(other, overrides)),
    );
  const claimBoth = (limit: number, otherLimit: number) =>
    claimWithMore(port, SCHEMA, instanceId, [
      { queue, limit },
      { queue: other, limit: otherLimit },
    ]);
  const ids = (jobs: readonly { readonly jobId: string }[]) => jobs.map(({ jobId }) => jobId).toSorted();

  it('gives each what it may have, the most urgent first', async () => {
    const normal = await enqueue(3);
    const urgent = await enqueue(2, { priority: 1 });
    const otherLow = await enqueueOther(2, { priority: 4 });
    const otherNormal = await enqueueOther(2);

    expect(ids((await claimBoth(4, 3)).jobs)).toEqual(
      [...urgent, normal[0]!, normal[1]!, ...otherNormal, otherLow[0]!].toSorted(),
    );
    expect(ids((await claimBoth(4, 3)).jobs)).toEqual([normal[2]!, otherLow[1]!].toSorted());
  });

  it('opens a new window where the last one is used up, and only there', async () => {
    const first = await enqueue(3);
    const otherFirst = await enqueueOther(9);
    await claimBoth(2, 2);
    const second = await enqueue(2);
    const otherSecond = await enqueueOther(1);

    expect(ids((await claimBoth(10, 3)).jobs)).toEqual(
      [first[2]!, ...second, ...otherFirst.slice(2, 5)].toSorted(),
    );
    expect(ids((await claimBoth(10, 10)).jobs)).toEqual([...otherFirst.slice(5), ...otherSecond].toSorted());
    const last = await enqueue(1);
    expect(ids((await claimBoth(10, 10)).jobs)).toEqual(last);
  });

  it('leaves out a queue that somebody else is claiming from, and says so of it alone', async () => {
    const held = await enqueue(1);
    const free = await enqueueOther(1);
    const holder = await database.client();
    await holder.query('BEGIN');
    await holder.query(
      'SELECT FROM awa.queue_claim_heads WHERE lane_id IN (SELECT lane_id FROM awa.queue_lanes WHERE queue = $1) FOR UPDATE',
      [queue],
    );
    const beside = await claimBoth(10, 10);
    expect(ids(beside.jobs)).toEqual(free);
    expect(beside).toMatchObject({ contended: [queue], more: [], refused: [] });
    await holder.query('ROLLBACK');
    expect(ids((await claimBoth(10, 10)).jobs)).toEqual(held);
  });

  it('says of which it was cut for its size', async () => {
    await database.query('ALTER TABLE awa.ready_entries_0 ALTER COLUMN args SET STORAGE EXTERNAL');
    const large = await enqueue(4, { argsJson: JSON.stringify('x'.repeat(400_000)) });
    const small = await enqueueOther(3);
    const { jobs, more } = await claimBoth(10, 10);
    expect(ids(jobs)).toEqual([...large.slice(0, 2), ...small].toSorted());
    expect(more).toEqual([queue]);
  });

  it('goes past cancelled jobs of one for good, whatever the other has', async () => {
    const cancelled = await enqueue(2);
    await cancelJobs(port, SCHEMA, cancelled, 'not wanted');
    const kept = await enqueueOther(1);
    expect(ids((await claimBoth(10, 10)).jobs)).toEqual(kept);
    const after = await enqueue(1);
    expect(ids((await claimBoth(10, 10)).jobs)).toEqual(after);
    const { rows } = await database.query(
      `SELECT c.job_ids::text[] AS jobs FROM awa.lease_claims c JOIN awa.queue_lanes l USING (lane_id)
       WHERE l.queue = $1 ORDER BY c.claim_seq`,
      [queue],
    );
    expect(rows).toEqual([{ jobs: [] }, { jobs: after }]);
  });
});

describe('the cost of a claim, in blocks', () => {
  const MANY = 100_000;
  /** The catalogue's, when a session reads it anew; the rows that must not be walked over fill some thousands. */
  const SLACK = 500;

  it(
    'finds a late commit with a probe, not with a scan of what came after it',
    { timeout: 120_000 },
    async () => {
      const open = await openTransaction();
      const late = await enqueue(1, {}, open.port);
      await enqueue(MANY);
      while ((await claim(512)).length > 0);
      const idle = await claimBlocks(10);
      await open.commit();
      const found = await claimBlocks(10);
      expect(await claim()).toEqual([]);
      expect(await claimedIn(late[0]!)).toBe(1);
      expect(found).toBeLessThan(idle + SLACK);
    },
  );

  it(
    'does not walk over the rows of a large transaction that is still open',
    { timeout: 120_000 },
    async () => {
      await enqueue(1);
      await claim();
      const idle = await claimBlocks(10);
      const open = await openTransaction();
      await enqueue(MANY, {}, open.port);
      for (let look = 0; look < 3; look++) expect(await claimBlocks(10)).toBeLessThan(idle + SLACK);
      await enqueue(1);
      expect(await claimBlocks(10)).toBeLessThan(idle + SLACK);
      await open.commit();
      expect(await claim(500)).toHaveLength(500);
    },
  );

  it('does not depend on how many jobs wait', { timeout: 120_000 }, async () => {
    await enqueue(1_000);
    const few = await claimBlocks(500);
    while ((await claim(512)).length > 0);
    await enqueue(MANY);
    expect(await claimBlocks(500)).toBeLessThan(few + SLACK);
  });
});

async function nextXid(): Promise<string> {
  const { rows } = await database.query<{ xid: string }>(
    'SELECT pg_snapshot_xmax(pg_current_snapshot())::text AS xid',
  );
  return rows[0]!.xid;
}

async function claimedIn(jobId: string): Promise<number> {
  const { rows } = await database.query('SELECT 1 FROM awa.lease_claims WHERE $1::bigint = ANY (job_ids)', [
    jobId,
  ]);
  return rows.length;
}
