import type { Client } from 'pg';
import { PgAdapter } from '../../../lib/storage/adapters/pg.adapter.js';
import { cancelJobs } from '../../../lib/storage/operations/cancel-jobs.js';
import { claimJobs, type ClaimedJob } from '../../../lib/storage/operations/claim-jobs.js';
import { completeAttempts } from '../../../lib/storage/operations/close-attempts.js';
import { enqueueJobs } from '../../../lib/storage/operations/enqueue-jobs.js';
import {
  listRingSegments,
  pruneRing,
  type RingName,
  rotateRing,
} from '../../../lib/storage/operations/rings.js';
import type { SqlPort } from '../../../lib/storage/sql-port.js';
import { until } from '../../support/signals.js';
import { newJob, registerTestInstance, registerTestQueue, SCHEMA } from '../../support/storage-fixture.js';
import type { ReplayDatabase } from '../models.js';
import { byJson, type Plain } from '../quint/plain.js';
import type { Step } from '../quint-model.js';
import type { Engine } from './replay.js';
import { OBSERVE } from './windows-facts.js';

/** Connections that all walks use. */
export interface Connections {
  producers: Client[];
  claimers: Client[];
  other?: Client;
  pruner?: Client;
  observer?: Client;
}

/** What the fields of the steps of `windows` can be. */
interface Operands {
  readonly producer: number;
  readonly claimer: number;
  readonly job: number;
  readonly jobs: readonly number[];
  readonly slot: number;
  readonly running: boolean;
  readonly waited: boolean;
}

/** Does what `windows` says: each producer and claimer on its own connection, in transactions that are really open. */
export class WindowsEngine implements Engine {
  /** Job ids, and transaction ids of those that wrote, by their number in the model. */
  readonly #jobs: string[] = [];
  readonly #xids: string[] = [];
  readonly #claimed = new Map<number, ClaimedJob>();
  #prune: Promise<string | undefined> | undefined;

  private constructor(
    private readonly database: ReplayDatabase,
    private readonly connections: Required<Connections>,
    private readonly port: SqlPort,
    private readonly queue: string,
    private readonly instanceId: string,
    private readonly limit: number,
  ) {}

  static async open(
    database: ReplayDatabase,
    bounds: { readonly PRODUCERS: number; readonly CLAIMERS: number; readonly LIMIT: number },
    connections: Connections,
  ): Promise<WindowsEngine> {
    while (connections.producers.length < bounds.PRODUCERS)
      connections.producers.push(await database.client());
    while (connections.claimers.length < bounds.CLAIMERS) connections.claimers.push(await database.client());
    const other = (connections.other ??= await database.client());
    const pruner = (connections.pruner ??= await database.client());
    const observer = (connections.observer ??= await database.ownerClient());
    const port = new PgAdapter(other);
    return new WindowsEngine(
      database,
      { ...connections, other, pruner, observer },
      port,
      await registerTestQueue(port),
      await registerTestInstance(port),
      bounds.LIMIT,
    );
  }

  async perform({ tag, value }: Step): Promise<void> {
    const { producer, claimer, job, jobs, slot, running, waited } = value as unknown as Operands;
    switch (tag) {
      case 'Began': {
        // The slot that it writes to is that of its snapshot, however late it writes.
        const client = this.#producer(producer);
        await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
        await client.query('SELECT 1');
        return;
      }
      case 'Inserted':
        return this.#insert(this.#producer(producer), job);
      case 'Committed':
        await this.#producer(producer).query('COMMIT');
        return;
      case 'Aborted':
        await this.#producer(producer).query('ROLLBACK');
        return;
      case 'OtherCommitted':
        await this.connections.other.query('SELECT pg_current_xact_id()');
        return;
      case 'Claimed':
        return this.#claim(this.#claimer(claimer), jobs);
      case 'ClaimCommitted':
        await this.#claimer(claimer).query('COMMIT');
        return;
      case 'ClaimAborted':
        await this.#claimer(claimer).query('ROLLBACK');
        return;
      case 'Contended': {
        const claim = await this.#claimJobs(this.#claimer(claimer));
        expectSame('a claim of a lane that is locked', claim.jobs.length, 0);
        expectSame('the contended queues', claim.contended, [this.queue]);
        return;
      }
      case 'Completed':
        expectSame('stale', await this.#complete(job), []);
        return;
      case 'CameTooLate':
        expectSame('stale', await this.#complete(job), [job]);
        return;
      case 'Cancelled': {
        const jobId = this.#jobs[job]!;
        const cancelled = await cancelJobs(this.port, SCHEMA, [jobId], 'replay');
        expectSame('the cancel', cancelled, [{ jobId, result: 'cancelled', wasRunning: running }]);
        return;
      }
      case 'ReadyRotated':
        return this.#rotate('ready');
      case 'ClaimsRotated':
        return this.#rotate('claim');
      case 'PruneWaited':
        return this.#beginPrune(slot);
      case 'Pruned':
      case 'PruneRefused': {
        const blocker = await (this.#prune ?? this.#pruneNow('ready', slot));
        this.#prune = undefined;
        const expected = tag === 'Pruned' ? 'pruned' : 'refused';
        expectSame(
          `the prune${waited ? ' that waited' : ''} (${blocker})`,
          blocker === undefined ? 'pruned' : 'refused',
          expected,
        );
        return;
      }
      case 'ClaimsPruned':
        expectSame('in the way', await this.#pruneNow('claim', slot), undefined);
        return;
      default:
        throw new Error(`there is no such operation: ${tag}`);
    }
  }

  async observe(): Promise<Readonly<Record<string, Plain>>> {
    // Whoever reads the tables now would wait behind it.
    if (this.#prune !== undefined) return {};
    const { rows } = await this.connections.observer.query<{ facts: Record<string, Plain> }>({
      name: 'observe', // planned once: planning takes longer than the rest
      text: OBSERVE,
      values: [this.queue, this.#jobs.slice(1), this.#xids.slice(1)],
    });
    return Object.fromEntries(
      Object.entries(rows[0]!.facts).map(([name, fact]) => [
        name,
        Array.isArray(fact) ? [...(fact as readonly Plain[])].sort(byJson) : fact,
      ]),
    );
  }

  /** Ends what is open, so that the next walk can use the connections. */
  async close(): Promise<void> {
    const { producers, claimers } = this.connections;
    await Promise.all([...producers, ...claimers].map((client) => client.query('ROLLBACK')));
    await Promise.allSettled([this.#prune]);
  }

  async #insert(client: Client, job: number): Promise<void> {
    const [id] = await enqueueJobs(new PgAdapter(client), SCHEMA, [newJob(this.queue)]);
    this.#jobs[job] = id!;
    const { rows } = await client.query<{ xid: string }>('SELECT pg_current_xact_id()::text AS xid');
    const { xid } = rows[0]!;
    if (!this.#xids.includes(xid)) this.#xids[Math.max(1, this.#xids.length)] = xid;
  }

  async #claim(client: Client, expected: readonly number[]): Promise<void> {
    await client.query('BEGIN');
    const { jobs } = await this.#claimJobs(client);
    const numbers = jobs.map(({ jobId }) => this.#jobs.indexOf(jobId));
    for (const [at, number] of numbers.entries()) this.#claimed.set(number, jobs[at]!);
    expectSame(
      'the claimed jobs',
      numbers.sort((a, b) => a - b),
      expected,
    );
  }

  #claimJobs(client: Client): ReturnType<typeof claimJobs> {
    return claimJobs(new PgAdapter(client), SCHEMA, this.instanceId, [
      { queue: this.queue, limit: this.limit },
    ]);
  }

  /** @returns the job if its attempt had ended before */
  async #complete(job: number): Promise<number[]> {
    const stale = await completeAttempts(this.port, SCHEMA, [this.#claimed.get(job)!]);
    return stale.map(() => job);
  }

  async #rotate(ring: RingName): Promise<void> {
    const segments = await listRingSegments(this.port, SCHEMA);
    const current = segments.find((each) => each.ring === ring && each.sealedAgoMs === undefined);
    expectSame('in the way', await rotateRing(this.port, SCHEMA, current!), undefined);
  }

  async #segment(ring: RingName, slot: number): Promise<Parameters<typeof pruneRing>[2]> {
    const segments = await listRingSegments(this.port, SCHEMA);
    const segment = segments.find((each) => each.ring === ring && each.slot === slot);
    if (segment?.sealedAgoMs === undefined) throw new Error(`slot ${slot} of the ${ring} ring is not sealed`);
    return segment;
  }

  async #pruneNow(ring: RingName, slot: number): Promise<string | undefined> {
    return pruneRing(this.port, SCHEMA, await this.#segment(ring, slot));
  }

  /** A prune with the patience to wait for the producers that have written to the slot. */
  async #beginPrune(slot: number): Promise<void> {
    const { generation } = await this.#segment('ready', slot);
    const { pruner } = this.connections;
    const pid = await pruner.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    const prune = pruner
      .query<{ blocker: string | null }>("SELECT awa.prune_ring('ready', $1, '0', '30 s') AS blocker", [
        generation,
      ])
      .then(({ rows }) => rows[0]?.blocker ?? undefined);
    this.#prune = prune;
    const answer = { done: false };
    void prune.then(
      () => (answer.done = true),
      () => (answer.done = true),
    );
    await until(
      async () => {
        const { rows } = await this.database.query(
          "SELECT FROM pg_stat_activity WHERE pid = $1 AND wait_event_type = 'Lock'",
          [pid.rows[0]!.pid],
        );
        return rows.length > 0 || answer.done;
      },
      { what: 'the prune waiting for its locks' },
    );
    if (answer.done) throw new Error(`the prune did not wait: ${await prune}`);
  }

  #producer(number: number): Client {
    return this.connections.producers[number - 1]!;
  }

  #claimer(number: number): Client {
    return this.connections.claimers[number - 1]!;
  }
}

function expectSame(what: string, actual: unknown, expected: unknown): void {
  const [left, right] = [JSON.stringify(actual) ?? 'nothing', JSON.stringify(expected) ?? 'nothing'];
  if (left !== right) throw new Error(`${what}: the model has ${right}, the engine ${left}`);
}
