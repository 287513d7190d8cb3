import type { Client } from 'pg';
import { PgAdapter } from '../../../lib/storage/adapters/pg.adapter.js';
import { claimJobs } from '../../../lib/storage/operations/claim-jobs.js';
import { enqueueJobs } from '../../../lib/storage/operations/enqueue-jobs.js';
import { newJob, registerTestInstance, registerTestQueue, SCHEMA } from '../../support/storage-fixture.js';
import type { ReplayDatabase } from '../models.js';
import type { Plain } from '../quint/plain.js';
import type { Step } from '../quint-model.js';
import { type EngineClock, TICK_MS } from './engine-clock.js';
import type { Engine } from './replay.js';

export interface ClaimersBounds {
  readonly INSTANCES: number;
  readonly EXTRA: number;
  readonly CAP: number;
  readonly IDLE: number;
}

interface ClaimStep {
  readonly conn: number;
  readonly refreshes: boolean;
  readonly target: number;
  readonly hot: boolean;
  readonly finds: boolean;
  readonly admitted: boolean;
  readonly isOver: boolean;
}

/** A lane each, so that claims that are open at the same time do not find each other's lane locked. */
const PRIORITIES = [1, 2, 3, 4] as const;
/** With so many waiting, the target is what max_claimers allows, whatever it was. */
const JOBS_A_LANE = 60;
/** A queue is hot only with more processes than its target. */
const BYSTANDERS = 4;

interface Observed {
  readonly leases: readonly {
    readonly slot: number;
    readonly owner: string;
    readonly epoch: number;
    readonly age: number;
    readonly left: number;
    readonly locked: boolean;
  }[];
  readonly target: number;
  readonly hot: boolean;
  readonly stateLocked: boolean;
}

/** As everybody sees it. What can be locked at this moment is not locked by a claim. */
const OBSERVE = `
  WITH free AS MATERIALIZED (
    SELECT l.claimer_slot FROM awa.queue_claimer_leases l WHERE l.queue = $1 FOR NO KEY UPDATE SKIP LOCKED
  ), free_state AS MATERIALIZED (
    SELECT s.queue FROM awa.queue_claimer_state s WHERE s.queue = $1 FOR NO KEY UPDATE SKIP LOCKED
  ), lease AS (
    SELECT l.claimer_slot AS slot, l.owner_instance_id AS owner, l.epoch,
      extract(epoch FROM moved_clock.clock_timestamp() - l.last_claimed_at) * 1000 / ${TICK_MS} AS age,
      extract(epoch FROM l.expires_at - moved_clock.clock_timestamp()) * 1000 / ${TICK_MS} AS left,
      l.claimer_slot NOT IN (SELECT f.claimer_slot FROM free f) AS locked
    FROM awa.queue_claimer_leases l WHERE l.queue = $1
  )
  SELECT coalesce((SELECT json_agg(l ORDER BY l.slot) FROM lease l), '[]') AS leases,
    s.target::int AS target, s.hot, NOT EXISTS (SELECT FROM free_state) AS "stateLocked"
  FROM awa.queue_claimer_state s WHERE s.queue = $1`;

/**
 * The claimers of a queue: every connection of the model is one of its own, and claims with claim_jobs() in a transaction that stays open.
 * What the model leaves open is set before a claim: what a refresh would come to, by the number of claims that it counts and by
 * max_claimers, and that a claim finds nothing, by locking the lanes.
 */
export class ClaimersEngine implements Engine {
  readonly #numbers: ReadonlyMap<string, number>;

  private constructor(
    private readonly database: ReplayDatabase,
    private readonly clock: EngineClock,
    private readonly bounds: ClaimersBounds,
    private readonly queue: string,
    private readonly instances: readonly string[],
    private readonly clients: Client[],
    private readonly blocker: Client,
  ) {
    this.#numbers = new Map(instances.map((instanceId, at) => [instanceId, at + 1]));
  }

  /** @param clients connections of earlier walks; those that are missing are made */
  static async open(
    database: ReplayDatabase,
    clock: EngineClock,
    bounds: ClaimersBounds,
    clients: Client[],
  ): Promise<ClaimersEngine> {
    while (clients.length <= bounds.INSTANCES + bounds.EXTRA) clients.push(await database.client());
    const blocker = clients[0]!;
    const port = new PgAdapter(blocker);
    const queue = await registerTestQueue(port);
    const join = () => registerTestInstance(port, undefined, [queue]);
    const instances: string[] = [];
    while (instances.length < bounds.INSTANCES) instances.push(await join());
    for (let others = 0; others < BYSTANDERS; others++) await join();
    for (const priority of PRIORITIES) {
      await enqueueJobs(
        port,
        SCHEMA,
        Array.from({ length: JOBS_A_LANE }, () => newJob(queue, { priority })),
      );
    }
    await database.query('UPDATE awa.queue_claimer_state SET target = 1, hot = true WHERE queue = $1', [
      queue,
    ]);
    return new ClaimersEngine(database, clock, bounds, queue, instances, clients, blocker);
  }

  async perform({ tag, value }: Step): Promise<void> {
    const step = value as unknown as ClaimStep & { readonly instance: number };
    switch (tag) {
      case 'Ticked':
        return this.clock.tick();
      case 'Claimed':
      case 'FoundNothing':
      case 'Refreshed':
        return this.#claim(step);
      case 'Committed':
        await this.#client(step.conn).query('COMMIT');
        return;
      case 'RolledBack':
        await this.#client(step.conn).query('ROLLBACK');
        return;
      case 'Died':
        return this.#kill(step.instance);
      default:
        throw new Error(`there is no such operation: ${tag}`);
    }
  }

  /** The leases and the state as everybody sees them, and what of them is locked. */
  async observe(): Promise<Readonly<Record<string, Plain>>> {
    const { rows } = await this.database.query<Observed>(OBSERVE, [this.queue]);
    const { leases: found, ...state } = rows[0]!;
    const stored = new Map(found.map((lease) => [lease.slot, lease]));
    const leases: Record<string, Plain> = {};
    for (let slot = 0; slot < this.bounds.CAP; slot++) {
      const row = stored.get(slot);
      leases[slot] = {
        owner: row === undefined ? 0 : (this.#numbers.get(row.owner) ?? -1),
        epoch: row?.epoch ?? 0,
        age: Math.min(row?.age ?? 0, this.bounds.IDLE),
        left: Math.max(row?.left ?? 0, 0),
      };
      stored.delete(slot);
    }
    if (stored.size > 0) throw new Error(`there are slots beyond the most: ${[...stored.keys()].join(', ')}`);
    return {
      stored: {
        leases,
        locked: found.flatMap(({ slot, locked }) => (locked ? [slot] : [])),
        ...state,
      },
    };
  }

  /** Ends what is still open, so that the next walk can have the connections. */
  async close(): Promise<void> {
    for (const client of this.clients) await client.query('ROLLBACK');
  }

  async #claim({ conn, refreshes, target, hot, finds, admitted, isOver }: ClaimStep): Promise<void> {
    await this.#prepareRefresh(refreshes, target, hot);
    if (!finds) await this.#lockLanes();
    const client = this.#client(conn);
    await client.query('BEGIN');
    const claim = await claimJobs(new PgAdapter(client), SCHEMA, this.#instanceOf(conn), [
      { queue: this.queue, limit: 1 },
    ]);
    if (!finds) await this.blocker.query('ROLLBACK');
    const expected = { refused: !admitted, jobs: admitted && finds ? 1 : 0 };
    const seen = { refused: claim.refused.length > 0, jobs: claim.jobs.length };
    if (expected.refused !== seen.refused || expected.jobs !== seen.jobs) {
      throw new Error(
        `the claim: the model has ${JSON.stringify(expected)}, the engine ${JSON.stringify(seen)}`,
      );
    }
    if (isOver) await client.query('COMMIT');
  }

  /** Lets the claim refresh the state, with this result, or keeps it from that. Whoever has it locked is left alone: it is not refreshed. */
  async #prepareRefresh(refreshes: boolean, target: number, hot: boolean): Promise<void> {
    if (refreshes) {
      await this.database.query('UPDATE awa.queues SET max_claimers = $2 WHERE name = $1', [
        this.queue,
        target,
      ]);
    }
    await this.database.query(
      `UPDATE awa.queue_claimer_state c SET refreshed_at = moved_clock.clock_timestamp() - $2::int * interval '1 second',
         claims = (SELECT sum(k.claim_seq) FROM awa.queue_lanes l, awa.lane_cursor(l.lane_id) k WHERE l.queue = $1) - $3::int
       WHERE c.queue = (SELECT s.queue FROM awa.queue_claimer_state s WHERE s.queue = $1 FOR NO KEY UPDATE SKIP LOCKED)`,
      [this.queue, refreshes ? 1 : 0, hot ? 1_000_000 : 0],
    );
  }

  /** Of those lanes in which there is something to claim, none is free. */
  async #lockLanes(): Promise<void> {
    await this.blocker.query('BEGIN');
    await this.blocker.query(
      `SELECT FROM awa.queue_claim_heads h JOIN awa.queue_lanes l USING (lane_id) WHERE l.queue = $1 FOR UPDATE OF h SKIP LOCKED`,
      [this.queue],
    );
  }

  async #kill(instance: number): Promise<void> {
    for (let conn = 1; conn <= this.bounds.INSTANCES + this.bounds.EXTRA; conn++) {
      if (this.#instanceOf(conn) !== this.instances[instance - 1]) continue;
      const { rows } = await this.#client(conn).query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
      await this.database.query('SELECT pg_terminate_backend($1, 10000)', [rows[0]!.pid]);
      this.clients[conn] = await this.database.client();
    }
  }

  #client(conn: number): Client {
    return this.clients[conn]!;
  }

  #instanceOf(conn: number): string {
    return this.instances[(conn - 1) % this.bounds.INSTANCES]!;
  }
}
