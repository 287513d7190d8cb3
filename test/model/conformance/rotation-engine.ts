import type { Client } from 'pg';
import { PgAdapter } from '../../../lib/storage/adapters/pg.adapter.js';
import { claimJobs } from '../../../lib/storage/operations/claim-jobs.js';
import { completeAttempts } from '../../../lib/storage/operations/close-attempts.js';
import { enqueueJobs } from '../../../lib/storage/operations/enqueue-jobs.js';
import { registerQueues } from '../../../lib/storage/operations/queues.js';
import {
  listRingSegments,
  pruneRing,
  type RingSegment,
  rotateRing,
} from '../../../lib/storage/operations/rings.js';
import type { SqlPort } from '../../../lib/storage/sql-port.js';
import { until } from '../../support/signals.js';
import {
  emptyTables,
  newJob,
  registerTestInstance,
  registerTestQueue,
  SCHEMA,
} from '../../support/storage-fixture.js';
import type { ReplayDatabase } from '../models.js';
import { byJson, type Plain } from '../quint/plain.js';
import type { Step } from '../quint-model.js';
import type { Engine } from './replay.js';

interface Operands {
  readonly leader: number;
  readonly generation: number;
  readonly prunes: boolean;
  readonly answer: string;
}

/** A would-be leader: its connection, and a rotation there that waits for the other's. */
interface Leader {
  readonly client: Client;
  readonly port: SqlPort;
  rotating: Promise<string | undefined> | undefined;
}

/** A job's generation is the number at the end of its queue; $1 is how the queues of the walk begin. */
const OBSERVE = `
  SELECT json_build_object(
    'rotations', (SELECT json_agg(json_build_object('generation', r.generation, 'slot', r.slot)) FROM awa.ring_rotations r WHERE r.ring = 'ready'),
    'pruned', (SELECT coalesce(json_agg(p.generation), '[]') FROM awa.ring_prunes p WHERE p.ring = 'ready'),
    'rows', (SELECT coalesce(json_agg(DISTINCT jsonb_build_array(j.slot, j.generation)), '[]') FROM job j),
    'live', (SELECT coalesce(json_agg(DISTINCT j.generation) FILTER (WHERE j.waits), '[]') FROM job j)
  ) AS ring`;
const JOBS = `
  WITH job AS (
    SELECT e.ready_slot AS slot, substring(l.queue FROM '[0-9]+$')::int AS generation,
      NOT EXISTS (SELECT FROM awa.completion_batches b WHERE b.ready_slot = e.ready_slot AND e.job_id = ANY (b.job_ids)) AS waits
    FROM awa.ready_entries e JOIN awa.queue_lanes l USING (lane_id) WHERE starts_with(l.queue, $1)
  )`;

interface ObservedRing {
  readonly rotations: Plain[];
  readonly pruned: Plain[];
  readonly rows: readonly (readonly [number, number])[];
  readonly live: Plain[];
}

/**
 * The ready ring, and two who tend it, each on its own connection with its transactions open for as long as the model says. The jobs of a
 * generation have a queue of their own, by which they are known again.
 */
export class RotationEngine implements Engine {
  readonly #leaders: readonly Leader[];

  private constructor(
    private readonly database: ReplayDatabase,
    private readonly slots: number,
    private readonly port: SqlPort,
    private readonly prefix: string,
    private readonly instanceId: string,
    clients: readonly Client[],
  ) {
    this.#leaders = clients.map((client) => ({ client, port: new PgAdapter(client), rotating: undefined }));
  }

  /** @param clients connections of earlier walks, that of the jobs first; those that are missing are made */
  static async open(
    database: ReplayDatabase,
    { LEADERS, SLOTS, GENERATIONS }: { LEADERS: number; SLOTS: number; GENERATIONS: number },
    clients: Client[],
  ): Promise<RotationEngine> {
    await emptyTables(database);
    while (clients.length <= LEADERS) clients.push(await database.client());
    const port = new PgAdapter(clients[0]!);
    const prefix = `${await registerTestQueue(port)}-`;
    await registerQueues(
      port,
      SCHEMA,
      Array.from({ length: GENERATIONS + 1 }, (_, generation) => `${prefix}${generation}`),
    );
    return new RotationEngine(
      database,
      SLOTS,
      port,
      prefix,
      await registerTestInstance(port),
      clients.slice(1, LEADERS + 1),
    );
  }

  async perform({ tag, value }: Step): Promise<void> {
    const { leader, generation, prunes, answer } = value as unknown as Operands;
    switch (tag) {
      case 'Wrote':
        await enqueueJobs(this.port, SCHEMA, [newJob(`${this.prefix}${await this.#newest()}`)]);
        return;
      case 'Consumed': {
        const limits = [{ queue: `${this.prefix}${generation}`, limit: 10 }];
        const { jobs } = await claimJobs(this.port, SCHEMA, this.instanceId, limits);
        expectSame('stale', await completeAttempts(this.port, SCHEMA, jobs), []);
        return;
      }
      case 'Looked': {
        const seen = await this.#segment(generation);
        expectSame('sealed', seen.sealedAgoMs !== undefined, prunes);
        return;
      }
      case 'Rotated': {
        const rotation = this.#rotate(this.#leader(leader), generation);
        expectSame('the answer', (await rotation) ?? '', answer);
        if (answer !== '') await this.#leader(leader).client.query('COMMIT');
        return;
      }
      case 'Waited':
        return this.#rotateAndWait(this.#leader(leader), generation);
      case 'Committed':
        return this.#end(leader, 'COMMIT');
      case 'RolledBack':
        return this.#end(leader, 'ROLLBACK');
      case 'Pruned':
        // Whether it did it shows. Its tables can be in use: by a rotation that is open.
        await pruneRing(this.#leader(leader).port, SCHEMA, segmentOf(generation));
        return;
      default:
        throw new Error(`there is no such operation: ${tag}`);
    }
  }

  async observe(): Promise<Readonly<Record<string, Plain>>> {
    const { rows } = await this.database.query<{ ring: ObservedRing }>(JOBS + OBSERVE, [this.prefix]);
    const { rotations, pruned, rows: found, live } = rows[0]!.ring;
    const bySlot: Record<string, Plain> = {};
    for (let slot = 0; slot < this.slots; slot++) {
      bySlot[slot] = found.flatMap(([at, generation]) => (at === slot ? [generation] : [])).sort(byJson);
    }
    return {
      ring: {
        rotations: rotations.sort(byJson),
        pruned: pruned.sort(byJson),
        rows: bySlot,
        live: live.sort(byJson),
      },
    };
  }

  /** Ends what is still open, so that the next walk can have the connections. */
  async close(): Promise<void> {
    // Whoever waits does so for somebody of the others.
    const isWaiting = ({ rotating }: Leader) => rotating !== undefined;
    for (const { client } of this.#leaders.filter((leader) => !isWaiting(leader)))
      await client.query('ROLLBACK');
    for (const { client } of this.#leaders.filter(isWaiting)) await client.query('ROLLBACK');
  }

  #leader(leader: number): Leader {
    return this.#leaders[leader - 1]!;
  }

  async #rotate({ client, port }: Leader, generation: number): Promise<string | undefined> {
    await client.query('BEGIN');
    return rotateRing(port, SCHEMA, segmentOf(generation));
  }

  async #rotateAndWait(leader: Leader, generation: number): Promise<void> {
    const { rows } = await leader.client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    leader.rotating = this.#rotate(leader, generation);
    const isWaiting = async () =>
      (
        await this.database.query(
          `SELECT FROM pg_stat_activity WHERE pid = $1 AND wait_event_type = 'Lock' AND query LIKE '%rotate_ring%'`,
          [rows[0]!.pid],
        )
      ).rowCount === 1;
    await until(isWaiting, { what: 'a rotation that waits for another one' });
  }

  /** Ends a rotation; whoever waits for it gets its answer, and goes home if it came too late. */
  async #end(leader: number, how: 'COMMIT' | 'ROLLBACK'): Promise<void> {
    await this.#leader(leader).client.query(how);
    for (const other of this.#leaders) {
      if (other.rotating === undefined) continue;
      const answer = await other.rotating;
      other.rotating = undefined;
      expectSame(
        'the answer of who waited',
        answer,
        how === 'COMMIT' ? 'somebody else has rotated' : undefined,
      );
      if (answer !== undefined) await other.client.query('COMMIT');
    }
  }

  async #segments(): Promise<RingSegment[]> {
    return (await listRingSegments(this.port, SCHEMA)).filter(({ ring }) => ring === 'ready');
  }

  async #newest(): Promise<string> {
    return (await this.#segments()).at(-1)!.generation;
  }

  async #segment(generation: number): Promise<RingSegment> {
    const found = (await this.#segments()).find((segment) => segment.generation === String(generation));
    if (found === undefined) throw new Error(`there is no segment ${generation}`);
    return found;
  }
}

/** A segment as somebody saw it who may be late: of what he saw only the generation counts. */
const segmentOf = (generation: number): RingSegment => ({
  ring: 'ready',
  generation: String(generation),
  slot: -1,
  openedAgoMs: 0,
  sealedAgoMs: undefined,
  bytes: 0,
});

function expectSame(what: string, seen: unknown, expected: unknown): void {
  if (JSON.stringify(seen) !== JSON.stringify(expected)) {
    throw new Error(`${what}: the model has ${JSON.stringify(expected)}, the engine ${JSON.stringify(seen)}`);
  }
}
