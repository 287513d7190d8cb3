import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from 'pg';
import { expect, it } from 'vitest';
import { PgAdapter } from '../../lib/storage/adapters/pg.adapter.js';
import type { ClaimedJob } from '../../lib/storage/operations/claim-jobs.js';
import { completeAttempts, settleAttempts } from '../../lib/storage/operations/close-attempts.js';
import { enqueueUniqueJobs } from '../../lib/storage/operations/enqueue-unique-jobs.js';
import { expireUniqueKeys } from '../../lib/storage/operations/expire-unique-keys.js';
import { moveFailedToDlq } from '../../lib/storage/operations/move-failed-to-dlq.js';
import { releaseUnknownClaims } from '../../lib/storage/operations/instances.js';
import { promoteDeferred } from '../../lib/storage/operations/promote-deferred.js';
import { purgeDeadLetters } from '../../lib/storage/operations/purge-dead-letters.js';
import { registerQueues } from '../../lib/storage/operations/queues.js';
import { retryDeadLetters } from '../../lib/storage/operations/retry-dead-letters.js';
import {
  listRingSegments,
  pruneRing,
  type RingName,
  rotateRing,
} from '../../lib/storage/operations/rings.js';
import type { SqlPort } from '../../lib/storage/sql-port.js';
import { until } from '../support/signals.js';
import { claimJobs, openPort, registerTestInstance, SCHEMA } from '../support/storage-fixture.js';
import { useTestDatabase } from '../support/test-database.js';
import { useUniqueFixture } from '../support/unique-fixture.js';

const database = useTestDatabase();
const u = useUniqueFixture(database);

const DURATION_MS = 5_000;
const TEXTS = ['a', 'b', 'c', 'd', 'e', 'f'];
const PERIOD_MS = 300;

const below = (n: number) => Math.floor(Math.random() * n);
const chance = (probability: number) => Math.random() < probability;
const pick = <Item>(items: readonly Item[]): Item => items[below(items.length)]!;

/** Live jobs against keys that are not those of ended jobs: each row is a job without its key, or a key without its job. */
const AUDIT = `
  WITH keyed AS (
    SELECT job_id, unique_key FROM awa.ready_entries WHERE unique_key IS NOT NULL
    UNION SELECT job_id, unique_key FROM awa.deferred_jobs WHERE unique_key IS NOT NULL
  ), live AS (
    SELECT k.* FROM keyed k CROSS JOIN LATERAL awa.read_job(k.job_id) j
    WHERE j.state IN ('scheduled', 'available', 'running', 'retryable')
  ), held AS (
    SELECT c.job_id, c.unique_key FROM awa.job_unique_claims c WHERE c.record_slot IS NULL
      AND NOT ('failed' = ANY (c.held_after) AND EXISTS (SELECT FROM awa.dlq_entries d WHERE d.job_id = c.job_id))
  )
  SELECT l.job_id::text AS live, h.job_id::text AS held FROM live l
  FULL JOIN held h ON h.unique_key = l.unique_key AND h.job_id = l.job_id
  WHERE l.job_id IS NULL OR h.job_id IS NULL`;

/**
 * Keys of ended jobs whose record is gone. A record may be in a slot that was sealed and reclaimed while it was being
 * written; it stays, with its key, until the slot has had its next turn.
 */
const LEAKED = `
  SELECT c.* FROM awa.job_unique_claims c
  WHERE NOT EXISTS (SELECT FROM awa.ready_entries e
      WHERE c.record_ring = 'ready' AND e.ready_slot = c.record_slot AND e.job_id = c.job_id)
    AND NOT EXISTS (SELECT FROM awa.done_entries d
      WHERE c.record_ring = 'done' AND d.done_slot = c.record_slot AND d.job_id = c.job_id)`;

/** Of one snapshot. The locks come first: what is reclaimed is gone for every snapshot. */
async function audit(client: Client): Promise<void> {
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
  await client.query(`LOCK TABLE awa.ready_entries, awa.completion_batches, awa.lease_claims,
    awa.lease_claim_closures, awa.done_entries IN ACCESS SHARE MODE`);
  const { rows } = await client.query(AUDIT);
  await client.query('COMMIT');
  expect(rows).toEqual([]);
}

/** Seals a ring's current segment and reclaims all that are sealed. @returns what is in the way of each. */
async function reclaim(ring: RingName): Promise<(string | undefined)[]> {
  const segments = async () => (await listRingSegments(u.port, SCHEMA)).filter((each) => each.ring === ring);
  await rotateRing(u.port, SCHEMA, (await segments()).at(-1)!);
  const blockers: (string | undefined)[] = [];
  for (const segment of (await segments()).slice(0, -1))
    blockers.push(await pruneRing(u.port, SCHEMA, segment));
  return blockers;
}

it(
  'leaks no key and has no two live jobs with one, whatever happens to them',
  { timeout: 60_000 },
  async () => {
    const ends = performance.now() + DURATION_MS;
    const winners = new Set<string>();
    const duplicates = new Set<string>();
    const running = new Map<string, string>();
    const seen = {
      audits: 0,
      retried: 0,
      pruned: 0,
      unseen: 0,
      claimed: 0,
      moved: 0,
      revived: 0,
      superseded: 0,
      purged: 0,
    };
    let producing = true;
    const working = new AbortController();

    const job = () =>
      u.job(
        pick(TEXTS),
        {
          heldAfter: ['completed', 'failed', 'cancelled'].filter(() => chance(0.2)),
          periodMs: chance(0.1) ? PERIOD_MS : undefined,
        },
        { delayMs: chance(0.2) ? below(30) : undefined, maxAttempts: 1 + below(4) },
      );

    async function produce(): Promise<void> {
      const client = await database.client();
      while (performance.now() < ends) {
        await client.query(chance(0.8) ? 'BEGIN' : 'BEGIN ISOLATION LEVEL REPEATABLE READ');
        if (chance(0.3)) await client.query('SELECT count(*) FROM awa.queues');
        const batch = Array.from({ length: chance(0.5) ? 1 : 1 + below(8) }, job);
        const results = await enqueueUniqueJobs(new PgAdapter(client), SCHEMA, batch);
        if (chance(0.2)) await delay(below(20));
        const rollsBack = chance(0.2);
        await client.query(rollsBack ? 'ROLLBACK' : 'COMMIT');
        if (results === undefined) seen.unseen += 1;
        if (rollsBack) continue;
        for (const { id, deduplicated } of results ?? []) (deduplicated ? duplicates : winners).add(id);
      }
    }

    async function work(): Promise<void> {
      const port = await openPort(database);
      const instanceId = await registerTestInstance(port);
      while (!working.signal.aborted) {
        const jobs = await claimJobs(port, SCHEMA, instanceId, [{ queue: u.queue, limit: 1 + below(6) }]);
        for (const { uniqueKey, jobId } of jobs) {
          expect(running.get(uniqueKey!)).toBeUndefined();
          running.set(uniqueKey!, jobId);
        }
        seen.claimed += jobs.length;
        if (chance(0.3)) await delay(below(10));
        // What was not closed before the commit could be somebody else's after it.
        for (const { uniqueKey } of jobs) running.delete(uniqueKey!);
        await close(port, instanceId, jobs);
        if (jobs.length === 0) await delay(2);
      }
    }

    async function close(port: SqlPort, instanceId: string, jobs: readonly ClaimedJob[]): Promise<void> {
      if (chance(0.05)) {
        await releaseUnknownClaims(port, SCHEMA, instanceId, []);
        return;
      }
      const done = jobs.filter(() => chance(0.5));
      expect(await completeAttempts(port, SCHEMA, done)).toEqual([]);
      const rest = jobs.filter((each) => !done.includes(each));
      const states = await settleAttempts(
        port,
        SCHEMA,
        rest.map((each) => ({
          job: each,
          outcome: pick(['error', 'error', 'failed', 'invalid', 'cancelled', 'snoozed', 'released'] as const),
          error: 'why',
          delayMs: below(20),
        })),
      );
      seen.retried += states.filter((state) => state === 'retryable').length;
    }

    async function maintain(): Promise<void> {
      const port = await openPort(database);
      while (!working.signal.aborted) {
        await promoteDeferred(port, SCHEMA, 50);
        await expireUniqueKeys(port, SCHEMA, 10);
        if (chance(0.2)) {
          for (const segment of await listRingSegments(port, SCHEMA)) {
            if (segment.sealedAgoMs === undefined) await rotateRing(port, SCHEMA, segment);
            else if ((await pruneRing(port, SCHEMA, segment)) === undefined) seen.pruned += 1;
          }
        }
        await delay(5);
      }
    }

    /** An operator of dead letters. The queue has them most of the time. */
    async function operate(): Promise<void> {
      const port = await openPort(database);
      const some = async (query: string) =>
        (await database.query<{ id: string }>(query)).rows.map(({ id }) => id).filter(() => chance(0.5));
      while (!working.signal.aborted) {
        const isOn = chance(0.7) || !producing;
        await registerQueues(port, SCHEMA, [{ name: u.queue, deadLetterMs: isOn ? 60_000 : 0 }]);
        const failed = await some(
          "SELECT job_id::text AS id FROM awa.done_entries WHERE state = 'failed' LIMIT 10",
        );
        if (chance(0.3)) seen.moved += (await moveFailedToDlq(port, SCHEMA, failed, 'moved')).length;
        const dead = await some('SELECT job_id::text AS id FROM awa.dlq_entries LIMIT 20');
        // In the end they only go, or there would be no end.
        if (!producing || chance(0.5))
          seen.purged += (await purgeDeadLetters(port, SCHEMA, dead, chance(0.5))).length;
        else {
          const { retried, cancelled } = await retryDeadLetters(port, SCHEMA, dead, chance(0.5), {});
          seen.revived += retried.length;
          seen.superseded += cancelled.length;
        }
        await delay(10);
      }
    }

    async function watch(): Promise<void> {
      const client = await database.client();
      while (!working.signal.aborted) {
        await audit(client);
        seen.audits += 1;
        await delay(30);
      }
    }

    const others = [work(), work(), work(), maintain(), maintain(), operate(), operate(), watch()];
    const producers = Promise.all([produce(), produce(), produce(), produce()]).finally(() => {
      producing = false;
    });
    const drained = producers.then(() =>
      until(
        async () =>
          (
            await database.query(
              'SELECT FROM awa.job_unique_claims WHERE record_slot IS NULL UNION ALL SELECT FROM awa.dlq_entries',
            )
          ).rowCount === 0,
        { what: 'the last live job ending', timeoutMs: 20_000 },
      ),
    );
    try {
      await Promise.race([drained, Promise.all(others)]);
    } finally {
      working.abort();
      await Promise.allSettled([...others, producers]);
    }
    await Promise.all(others);
    expect(producing).toBe(false);

    await audit(await database.client());
    expect([...duplicates].filter((id) => !winners.has(id))).toEqual([]);
    const counts = { ...seen, winners: winners.size, duplicates: duplicates.size };
    expect(Object.entries(counts).filter(([, count]) => count < 5)).toEqual([]);

    // What ended jobs hold goes with their records and periods.
    const blockers = [...(await reclaim('ready')), ...(await reclaim('claim')), ...(await reclaim('done'))];
    expect(blockers.filter((blocker) => blocker !== undefined)).toEqual([]);
    await delay(PERIOD_MS);
    await expireUniqueKeys(u.port, SCHEMA, 1_000);
    expect((await database.query(LEAKED)).rows).toEqual([]);
  },
);
