import { beforeEach, describe, expect, it } from 'vitest';
import { enqueueJobs } from '../../lib/storage/operations/enqueue-jobs.js';
import { registerQueues } from '../../lib/storage/operations/queues.js';
import type { SqlPort } from '../../lib/storage/sql-port.js';
import { claimersOf } from '../support/claimer-state.js';
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
const claimers = claimersOf(database);

let port: SqlPort;
let queue: string;
let instanceId: string;

beforeEach(async () => {
  port = await openPort(database);
  queue = await registerTestQueue(port);
  instanceId = await registerTestInstance(port, undefined, [queue]);
});

/** Other processes that work on the queue. */
async function joinedBy(others: number): Promise<void> {
  for (let other = 0; other < others; other++) await registerTestInstance(port, undefined, [queue]);
}

const enqueue = (count: number) =>
  enqueueJobs(
    port,
    SCHEMA,
    Array.from({ length: count }, () => newJob(queue)),
  );

const claim = (limit: number) => claimJobs(port, SCHEMA, instanceId, [{ queue, limit }]);

/** Brings the backlog to a size, and the target up to date with it: a claim of one looks at it first. */
async function targetAt(waiting: number): Promise<number> {
  await database.query(
    `UPDATE awa.queue_claimer_state SET refreshed_at = clock_timestamp() + interval '1 hour', hot = false WHERE queue = $1`,
    [queue],
  );
  while ((await claim(512)).length > 0);
  await enqueue(waiting);
  await claimers.refreshAgo(queue, 501);
  await claim(1);
  return (await claimers.state(queue)).target;
}

describe('the target of a queue', () => {
  beforeEach(() => joinedBy(7));

  it('grows with the backlog and shrinks when it is calm, each at its own mark', async () => {
    expect(await targetAt(3)).toBe(1);
    expect(await targetAt(4)).toBe(2);
    // Up to where it would not have come from below.
    expect(await targetAt(2)).toBe(2);
    expect(await targetAt(63)).toBe(2);
    expect(await targetAt(64)).toBe(4);
    expect(await targetAt(16)).toBe(4);
    expect(await targetAt(15)).toBe(2);
    expect(await targetAt(1)).toBe(1);
    expect(await targetAt(32)).toBe(4);
    expect(await targetAt(3)).toBe(1);
  });

  it('goes no further than the module allows', async () => {
    await registerQueues(port, SCHEMA, [{ name: queue, maxClaimers: 10 }]);
    expect(await targetAt(4)).toBe(5);
    expect(await targetAt(64)).toBe(10);
    // A process that does not say leaves it as it is.
    await registerQueues(port, SCHEMA, [queue]);
    expect(await targetAt(64)).toBe(10);
    await registerQueues(port, SCHEMA, [{ name: queue, maxClaimers: 1 }]);
    expect(await targetAt(64)).toBe(1);
  });

  it('is looked at again after half a second, not earlier', async () => {
    await enqueue(40);
    await claimers.refreshAgo(queue, 200);
    await claim(1);
    expect((await claimers.state(queue)).target).toBe(1);
    await claimers.refreshAgo(queue, 501);
    await claim(1);
    expect((await claimers.state(queue)).target).toBe(4);
  });
});

describe('a queue is hot', () => {
  /** As if the last half second had seen so many claims. */
  async function heat(claims: number): Promise<boolean> {
    await enqueue(1);
    await claimers.refreshAgo(queue, 1_000, claims);
    await claim(1);
    return (await claimers.state(queue)).hot;
  }

  it('while it is claimed from very often, by more instances than its target', async () => {
    await joinedBy(1);
    expect(await heat(400)).toBe(false);
    expect(await heat(600)).toBe(true);
    expect(await heat(400)).toBe(true);
    expect(await heat(200)).toBe(false);
    expect(await heat(400)).toBe(false);
  });

  it('never with one process, which writes nothing but its claims', async () => {
    await enqueue(60);
    await claimers.refreshAgo(queue, 1_000, 10_000);
    const before = await claimers.state(queue);
    for (let claims = 0; claims < 30; claims++) expect(await claim(1)).toHaveLength(1);
    expect(await claimers.state(queue)).toEqual(before);
    expect(await claimers.leases(queue)).toEqual([]);
  });

  it('no longer when the others are gone', async () => {
    await joinedBy(1);
    expect(await heat(600)).toBe(true);
    await database.query('DELETE FROM awa.runtime_instances WHERE $1 = ANY (queues) AND instance_id <> $2', [
      queue,
      instanceId,
    ]);
    expect(await heat(600)).toBe(false);
  });
});
