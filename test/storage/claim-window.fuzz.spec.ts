import { expect, it } from 'vitest';
import { completeAttempts } from '../../lib/storage/operations/close-attempts.js';
import { enqueueJobs } from '../../lib/storage/operations/enqueue-jobs.js';
import type { Client } from 'pg';
import { PgAdapter } from '../../lib/storage/adapters/pg.adapter.js';
import {
  claimJobs,
  newJob,
  openPort,
  registerTestInstance,
  registerTestQueue,
  SCHEMA,
} from '../support/storage-fixture.js';
import { until } from '../support/signals.js';
import { useTestDatabase } from '../support/test-database.js';

const TRANSACTIONS = 10_000;
const PRODUCERS = 8;
const CLAIMERS = 3;
const QUEUES = 3;
/** One transaction in so many is held open while the others go on. */
const HELD_ONE_IN = 250;
/** It stays open until so many others have ended: seconds. */
const HELD_FOR = 700;

const database = useTestDatabase();

/** What happened, shared by all producers. */
class Ledger {
  readonly committed = new Set<string>();
  held = 0;
  private ended = 0;
  private waiting: { readonly at: number; readonly go: () => void }[] = [];

  /** Whether another transaction may begin. */
  get isOpen(): boolean {
    return this.ended + this.waiting.length < TRANSACTIONS;
  }

  end(ids: readonly string[]): void {
    for (const id of ids) this.committed.add(id);
    this.ended += 1;
    this.release();
  }

  /** Resolves when so many more transactions have ended, or when there will be no more. */
  others(count: number): Promise<void> {
    this.held += 1;
    return new Promise((go) => {
      this.waiting.push({ at: this.ended + count, go });
      this.release();
    });
  }

  private release(): void {
    // When every producer holds one open, there are no others: the one that has waited longest goes on.
    const stuck = this.waiting.length === PRODUCERS ? this.waiting[0] : undefined;
    const due = this.waiting.filter((held) => !this.isOpen || held.at <= this.ended || held === stuck);
    this.waiting = this.waiting.filter((waiter) => !due.includes(waiter));
    for (const { go } of due) go();
  }
}

const chance = (share: number) => Math.random() < share;
const oneOf = <T>(items: readonly T[]): T => items[between(0, items.length - 1)]!;
const between = (least: number, most: number) => least + Math.floor(Math.random() * (most - least + 1));

/** A random transaction: some enqueues, savepoints rolled back or kept among them, then COMMIT or ROLLBACK. */
async function randomTransaction(client: Client, queues: readonly string[], ledger: Ledger): Promise<void> {
  const port = new PgAdapter(client);
  const enqueue = () =>
    enqueueJobs(
      port,
      SCHEMA,
      Array.from({ length: between(1, 4) }, () => newJob(oneOf(queues), { priority: between(1, 2) })),
    );
  const kept: string[] = [];
  await client.query('BEGIN');
  for (let step = between(1, 3); step > 0; step--) {
    if (!chance(0.2)) kept.push(...(await enqueue()));
    else {
      await client.query('SAVEPOINT part');
      const ids = await enqueue();
      if (chance(0.5)) await client.query('ROLLBACK TO SAVEPOINT part');
      else kept.push(...ids);
    }
  }
  if (chance(1 / HELD_ONE_IN)) await ledger.others(HELD_FOR);
  const commit = chance(0.7);
  await client.query(commit ? 'COMMIT' : 'ROLLBACK');
  ledger.end(commit ? kept : []);
}

it(
  'runs exactly the committed jobs of 10,000 random transactions, each once, delayed by nobody',
  { timeout: 180_000 },
  async () => {
    const port = await openPort(database);
    const queues: string[] = [];
    for (let no = 0; no < QUEUES; no++) queues.push(await registerTestQueue(port));
    const [queue] = queues as [string];
    const ledger = new Ledger();
    const claimed: string[] = [];
    const producing = new AbortController();

    // Open from before the first to after the last of the others.
    const late = await database.client();
    await late.query('BEGIN');
    const lateIds = await enqueueJobs(new PgAdapter(late), SCHEMA, [
      newJob(queue),
      newJob(queue, { priority: 1 }),
    ]);

    const producers = Array.from({ length: PRODUCERS }, async () => {
      const client = await database.client();
      while (ledger.isOpen) await randomTransaction(client, queues, ledger);
    });
    const claimers = Array.from({ length: CLAIMERS }, async () => {
      const own = await openPort(database);
      const instanceId = await registerTestInstance(own);
      const drain = async () => {
        for (let left = true; left;) {
          const limits = queues.map((name) => ({
            queue: name,
            limit: between(1, 30),
            priority: oneOf([0, 1, 2]),
          }));
          const jobs = await claimJobs(own, SCHEMA, instanceId, limits.slice(between(0, QUEUES - 1)));
          for (const { queue: name, limit } of limits)
            expect(jobs.filter((job) => job.queue === name).length).toBeLessThanOrEqual(limit);
          claimed.push(...jobs.map(({ jobId }) => jobId));
          expect(await completeAttempts(own, SCHEMA, jobs)).toEqual([]);
          // Of some queues and priorities only: nothing there does not mean that there is nothing.
          left = jobs.length > 0;
        }
      };
      while (!producing.signal.aborted) await drain();
    });

    await Promise.all(producers);
    // Everything committed is run although a transaction older than all of it is still open.
    await until(async () => claimed.length >= ledger.committed.size, {
      what: 'every committed job being claimed',
    });
    expect(new Set(claimed)).toEqual(ledger.committed);
    await late.query('COMMIT');
    const expected = new Set([...ledger.committed, ...lateIds]);
    await until(async () => claimed.length >= expected.size, { what: 'the late jobs being claimed' });
    producing.abort();
    await Promise.all(claimers);

    expect(ledger.held).toBeGreaterThan(10);
    expect(claimed.length).toBe(expected.size);
    expect(new Set(claimed)).toEqual(expected);
    const { rows } = await database.query<{ jobs: string }>(
      'SELECT sum(cardinality(b.job_ids)) AS jobs FROM awa.completion_batches b JOIN awa.queue_lanes l USING (lane_id) WHERE l.queue = ANY ($1)',
      [queues],
    );
    expect(Number(rows[0]?.jobs)).toBe(expected.size);
  },
);
