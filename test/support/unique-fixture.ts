import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { beforeEach } from 'vitest';
import type { ClaimedJob } from '../../lib/storage/operations/claim-jobs.js';
import { type AttemptOutcome, settleAttempts } from '../../lib/storage/operations/close-attempts.js';
import {
  enqueueUniqueJobs,
  type NewUniqueJob,
  type UniqueClaim,
} from '../../lib/storage/operations/enqueue-unique-jobs.js';
import { getJob } from '../../lib/storage/operations/get-job.js';
import {
  listRingSegments,
  pruneRing,
  type RingName,
  rotateRing,
} from '../../lib/storage/operations/rings.js';
import type { SqlPort } from '../../lib/storage/sql-port.js';
import { until } from './signals.js';
import { claimJobs, emptyTables, newJob, openLane, SCHEMA } from './storage-fixture.js';
import type { TestDatabase } from './test-database.js';

/** Enqueues unique jobs where every key can be told. */
export async function enqueueUnique(port: SqlPort, jobs: readonly NewUniqueJob[]) {
  const results = await enqueueUniqueJobs(port, SCHEMA, jobs);
  if (results === undefined) throw new Error('a key belongs to a job that the snapshot does not show');
  return results;
}

/** A queue with unique jobs, whose keys are made of texts: equal texts give equal keys. */
export class UniqueFixture {
  port!: SqlPort;
  queue!: string;
  instanceId!: string;

  constructor(private readonly database: TestDatabase) {}

  /** Rings are one for all queues: each test begins with empty ones. */
  async reset(): Promise<void> {
    await emptyTables(this.database);
    ({ port: this.port, queue: this.queue, instanceId: this.instanceId } = await openLane(this.database));
  }

  job(text: string, unique: Partial<UniqueClaim> = {}, overrides: Partial<NewUniqueJob> = {}): NewUniqueJob {
    return {
      ...newJob(this.queue, overrides),
      unique: { key: this.key(text), periodMs: undefined, heldAfter: [], ...unique },
    };
  }

  /** The key of a text, in hexadecimal. */
  key(text: string): string {
    return createHash('sha256').update(`${this.queue} ${text}`).digest('hex').slice(0, 32);
  }

  async put(text: string, unique: Partial<UniqueClaim> = {}, port = this.port) {
    return (await enqueueUnique(port, [this.job(text, unique)]))[0]!;
  }

  claim(limit = 100): Promise<readonly ClaimedJob[]> {
    return claimJobs(this.port, SCHEMA, this.instanceId, [{ queue: this.queue, limit }]);
  }

  async putAndClaim(text: string, unique: Partial<UniqueClaim> = {}) {
    const { id } = await this.put(text, unique);
    const jobs = await this.claim();
    assert.deepEqual(
      jobs.map(({ jobId }) => jobId),
      [id],
    );
    return { id, jobs };
  }

  settle(jobs: readonly ClaimedJob[], outcome: AttemptOutcome, delayMs = 0) {
    return settleAttempts(
      this.port,
      SCHEMA,
      jobs.map((job) => ({ job, outcome, error: 'why', delayMs })),
    );
  }

  async state(id: string) {
    return (await getJob(this.port, SCHEMA, id))?.state;
  }

  /** The job that holds the key of a text, undefined when it is free. */
  async holder(text: string): Promise<string | undefined> {
    const { rows } = await this.database.query<{ id: string }>(
      "SELECT job_id::text AS id FROM awa.job_unique_claims WHERE substr(unique_key, 1, 16) = decode($1, 'hex')",
      [this.key(text)],
    );
    assert.ok(rows.length < 2);
    return rows[0]?.id;
  }

  /** Seals the current generation and reclaims it. */
  async turn(ring: RingName): Promise<void> {
    const segments = await listRingSegments(this.port, SCHEMA);
    const segment = segments.findLast((each) => each.ring === ring)!;
    assert.equal(await rotateRing(this.port, SCHEMA, segment), undefined);
    assert.equal(await pruneRing(this.port, SCHEMA, segment), undefined);
  }

  /** Resolves when so many sessions of the database wait for a lock. */
  async waiting(count: number): Promise<void> {
    await until(
      async () =>
        (
          await this.database.query(
            "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
          )
        ).rowCount === count,
      { what: `${count} session(s) waiting for a lock` },
    );
  }
}

/** A fixture that begins anew before each test. */
export function useUniqueFixture(database: TestDatabase): UniqueFixture {
  const fixture = new UniqueFixture(database);
  beforeEach(() => fixture.reset());
  return fixture;
}
