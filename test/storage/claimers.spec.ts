import { beforeEach, describe, expect, it } from 'vitest';
import { claimJobs } from '../../lib/storage/operations/claim-jobs.js';
import { enqueueJobs } from '../../lib/storage/operations/enqueue-jobs.js';
import type { SqlPort } from '../../lib/storage/sql-port.js';
import { claimersOf } from '../support/claimer-state.js';
import {
  newJob,
  openPort,
  registerTestInstance,
  registerTestQueue,
  SCHEMA,
} from '../support/storage-fixture.js';
import { useTestDatabase } from '../support/test-database.js';

const database = useTestDatabase();
const claimers = claimersOf(database);

let port: SqlPort;
let queue: string;
let a: string;
let b: string;
let c: string;

beforeEach(async () => {
  port = await openPort(database);
  queue = await registerTestQueue(port);
  const join = () => registerTestInstance(port, undefined, [queue]);
  [a, b, c] = [await join(), await join(), await join()];
});

const enqueue = (count: number, to = queue) =>
  enqueueJobs(
    port,
    SCHEMA,
    Array.from({ length: count }, () => newJob(to)),
  );

/** How many jobs the instance got, or that it was refused. */
async function claim(instanceId: string, limit = 1): Promise<number | 'refused'> {
  const { jobs, refused } = await claimJobs(port, SCHEMA, instanceId, [{ queue, limit }]);
  return refused.includes(queue) ? 'refused' : jobs.length;
}

describe('a hot queue', () => {
  beforeEach(async () => {
    await claimers.freeze(queue, { target: 1, hot: true });
    await enqueue(20);
  });

  it('is claimed from by as many instances as its target, no more', async () => {
    expect(await claim(a)).toBe(1);
    await claimers.pass(queue, -60_000);
    expect(await claim(b)).toBe('refused');
    await claimers.freeze(queue, { target: 2, hot: true });
    expect(await claim(b)).toBe(1);
    await claimers.pass(queue, -60_000);
    expect(await claim(c)).toBe('refused');
    expect(await claim(a)).toBe(1);
    expect(await claimers.leases(queue)).toMatchObject([
      { slot: 0, owner: a, epoch: 1 },
      { slot: 1, owner: b, epoch: 1 },
    ]);
  });

  it('is claimed from by a fresh holder without a write to the leases', async () => {
    expect(await claim(a)).toBe(1);
    // Fresh for as long as this test may take.
    await claimers.pass(queue, -60_000);
    const before = await claimers.leases(queue);
    for (let claims = 0; claims < 5; claims++) expect(await claim(a)).toBe(1);
    expect(await claimers.leases(queue)).toEqual(before);
  });

  it('is kept by a half-stale holder that claims: it renews its mark before somebody can take the slot', async () => {
    expect(await claim(a)).toBe(1);
    await claimers.pass(queue, 450);
    const [before] = await claimers.leases(queue);
    expect(await claim(a)).toBe(1);
    const [after] = await claimers.leases(queue);
    expect(after).toMatchObject({ slot: 0, owner: a, epoch: 1 });
    expect(after?.version).not.toBe(before?.version);
    // Without the renewal the slot would be idle by now.
    await claimers.pass(queue, 100);
    expect(await claim(b)).toBe('refused');
  });

  it('renews a lease that is about to expire, however fresh the mark', async () => {
    expect(await claim(a)).toBe(1);
    await database.query(
      `UPDATE awa.queue_claimer_leases SET expires_at = clock_timestamp() + interval '1400 ms' WHERE queue = $1`,
      [queue],
    );
    const [before] = await claimers.leases(queue);
    expect(await claim(a)).toBe(1);
    const [after] = await claimers.leases(queue);
    expect(after?.version).not.toBe(before?.version);
  });

  it('does not count a claim that finds nothing as a sign of life', async () => {
    expect(await claim(a, 20)).toBe(20);
    await claimers.pass(queue, 300);
    const before = await claimers.leases(queue);
    for (let looks = 0; looks < 3; looks++) expect(await claim(a)).toBe(0);
    expect(await claimers.leases(queue)).toEqual(before);
  });

  it('gives an idle slot to the next, with a new epoch', async () => {
    expect(await claim(a)).toBe(1);
    await claimers.pass(queue, 501);
    expect(await claim(b)).toBe(1);
    expect(await claimers.leases(queue)).toMatchObject([{ slot: 0, owner: b, epoch: 2 }]);
    await claimers.pass(queue, -60_000);
    expect(await claim(a)).toBe('refused');
  });

  it('gives an expired slot to the next, with a new epoch', async () => {
    expect(await claim(a)).toBe(1);
    await database.query(
      'UPDATE awa.queue_claimer_leases SET expires_at = clock_timestamp() WHERE queue = $1',
      [queue],
    );
    expect(await claim(b)).toBe(1);
    expect(await claimers.leases(queue)).toMatchObject([{ slot: 0, owner: b, epoch: 2 }]);
  });

  it('leaves its own idle or expired slot to a holder, with the same epoch', async () => {
    expect(await claim(a)).toBe(1);
    await claimers.pass(queue, 10_000);
    expect(await claim(a)).toBe(1);
    expect(await claimers.leases(queue)).toMatchObject([{ slot: 0, owner: a, epoch: 1 }]);
  });

  it('gives an instance one slot, though others are free', async () => {
    await claimers.freeze(queue, { target: 4, hot: true });
    const own = await Promise.all([1, 2, 3, 4].map(() => openPort(database)));
    await Promise.all(own.map((each) => claimJobs(each, SCHEMA, a, [{ queue, limit: 1 }])));
    for (let claims = 0; claims < 3; claims++) await claim(a);
    await claimers.pass(queue, 3_001);
    await claim(a);
    // As when another claim of its own took the slot after this one had looked.
    await database.query('SELECT awa.acquire_claimer($1, $2)', [a, queue]);
    const leases = await claimers.leases(queue);
    expect(leases).toHaveLength(1);
    expect(leases).toMatchObject([{ slot: 0, owner: a, epoch: 1 }]);
  });

  it('moves a holder down when its slot is beyond a target that has shrunk, and lets the slot go', async () => {
    await claimers.freeze(queue, { target: 2, hot: true });
    expect([await claim(a), await claim(b)]).toEqual([1, 1]);
    await claimers.freeze(queue, { target: 1, hot: true });
    await claimers.pass(queue, -60_000);
    expect(await claim(b)).toBe('refused');
    await claimers.pass(queue, 60_501);
    expect(await claim(b)).toBe(1);
    await claimers.freeze(queue, { target: 2, hot: true });
    // Slot 1 is free at once: its holder has moved.
    expect(await claim(c)).toBe(1);
    expect(await claimers.leases(queue)).toMatchObject([
      { slot: 0, owner: b, epoch: 2 },
      { slot: 1, owner: c, epoch: 2 },
    ]);
  });

  it('refuses for as long as somebody is taking a slot, and waits for nobody', async () => {
    const other = await database.client();
    await other.query('BEGIN');
    await other.query('SELECT FROM awa.queue_claimer_state WHERE queue = $1 FOR UPDATE', [queue]);
    expect(await claim(a)).toBe('refused');
    await other.query('ROLLBACK');
    expect(await claim(a)).toBe(1);
  });

  it('keeps nobody from another queue', async () => {
    const cool = await registerTestQueue(port);
    await enqueue(1, cool);
    expect(await claim(a)).toBe(1);
    await claimers.pass(queue, -60_000);
    const { jobs, refused } = await claimJobs(port, SCHEMA, b, [
      { queue, limit: 1 },
      { queue: cool, limit: 1 },
    ]);
    expect(jobs).toMatchObject([{ queue: cool }]);
    expect(refused).toEqual([queue]);
  });
});

it('updates leases and state in place: every update is a HOT one', async () => {
  await claimers.freeze(queue, { target: 1, hot: true });
  await enqueue(300);
  for (let round = 0; round < 150; round++) {
    await claimers.pass(queue, round % 3 === 0 ? 600 : 300);
    await claim(round % 3 === 0 ? [a, b, c][(round / 3) % 3]! : [a, b, c][Math.floor(round / 3) % 3]!);
  }
  for (let round = 0; round < 150; round++) {
    await claimers.refreshAgo(queue, 600);
    await claim(a);
  }
  await database.query('SELECT pg_stat_force_next_flush()');
  const own = await database.client();
  await port.query({ name: 'flush', text: 'SELECT pg_stat_force_next_flush()' }, []);
  const { rows } = await own.query<{ name: string; updates: number; hot: number }>(
    `SELECT relname AS name, n_tup_upd::int AS updates, n_tup_hot_upd::int AS hot FROM pg_stat_user_tables
     WHERE schemaname = 'awa' AND relname LIKE 'queue_claimer_%' ORDER BY 1`,
  );
  expect(rows).toHaveLength(2);
  for (const { updates, hot } of rows) {
    expect(updates).toBeGreaterThan(280);
    expect(hot).toBe(updates);
  }
});
