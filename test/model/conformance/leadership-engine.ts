import { randomUUID } from 'node:crypto';
import type { Client } from 'pg';
import { PgAdapter } from '../../../lib/storage/adapters/pg.adapter.js';
import {
  currentLeader,
  keepLeadership,
  resignLeadership,
  takeLeadership,
} from '../../../lib/storage/operations/leadership.js';
import { SCHEMA } from '../../support/storage-fixture.js';
import type { ReplayDatabase } from '../models.js';
import type { Plain } from '../quint/plain.js';
import type { Step } from '../quint-model.js';
import type { Engine } from './replay.js';

/** No session ends for its silence while a replay goes on: that is done by hand. */
const IDLE_MS = 600_000;

interface Session {
  readonly client: Client;
  readonly pid: number;
}

interface Operands {
  readonly process: number;
  readonly taken: boolean;
  readonly ended: readonly number[];
}

interface Seat {
  readonly instanceId: string;
  session: Session | undefined;
}

const HOLDERS = `
  SELECT l.pid FROM pg_locks l
  WHERE l.locktype = 'advisory' AND l.granted AND (l.classid::bigint << 32) | l.objid::bigint = $1::bigint
    AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())`;
const SESSIONS =
  'SELECT a.pid FROM pg_stat_activity a WHERE a.datname = current_database() AND a.pid = ANY ($1::int[])';

/** Processes with a session each, which take, keep and lose the lock as the model says. */
export class LeadershipEngine implements Engine {
  private constructor(
    private readonly database: ReplayDatabase,
    private readonly reader: PgAdapter,
    private readonly seats: readonly Seat[],
  ) {}

  /** @param reader looks who leads */
  static async open(database: ReplayDatabase, reader: Client, processes: number): Promise<LeadershipEngine> {
    const engine = new LeadershipEngine(
      database,
      new PgAdapter(reader),
      Array.from({ length: processes }, () => ({ instanceId: randomUUID(), session: undefined })),
    );
    for (const seat of engine.seats) seat.session = await engine.#connect();
    return engine;
  }

  async perform({ tag, value }: Step): Promise<void> {
    const { process, taken, ended } = value as unknown as Operands;
    switch (tag) {
      case 'Tried': {
        const seat = this.#seat(process);
        seat.session ??= await this.#connect();
        const seen = await takeLeadership(portOf(seat), SCHEMA, seat.instanceId, IDLE_MS);
        if (seen !== taken) throw new Error(`the lock: the model has ${taken}, the engine ${seen}`);
        return;
      }
      case 'Spoke':
        return keepLeadership(portOf(this.#seat(process)), SCHEMA, this.#seat(process).instanceId);
      case 'Resigned':
        return resignLeadership(portOf(this.#seat(process)), SCHEMA);
      case 'SessionLost':
        return this.#endSession(process);
      case 'Ticked':
        for (const each of ended) await this.#endSession(each);
        return;
      // Of the process itself: nothing of it is in the database.
      case 'Heard':
      case 'StoodStill':
      case 'Woke':
      case 'PromptBegun':
      case 'PromptEnded':
        return;
      default:
        throw new Error(`there is no such operation: ${tag}`);
    }
  }

  async observe(): Promise<Readonly<Record<string, Plain>>> {
    const held = await this.#pids(HOLDERS, SCHEMA.leaderKey);
    const alive = await this.#pids(
      SESSIONS,
      this.seats.flatMap(({ session }) => (session === undefined ? [] : [session.pid])),
    );
    const leader = await currentLeader(this.reader, SCHEMA);
    return {
      holders: this.#numbers(({ session }) => session !== undefined && held.has(session.pid)),
      sessions: this.#numbers(({ session }) => session !== undefined && alive.has(session.pid)),
      named: this.#numbers(({ instanceId }) => instanceId === leader),
    };
  }

  async close(): Promise<void> {
    for (let process = 1; process <= this.seats.length; process++) await this.#endSession(process);
  }

  async #connect(): Promise<Session> {
    const client = await this.database.client();
    const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    return { client, pid: rows[0]!.pid };
  }

  /** Waits for its end, so that the next step does not come before it. */
  async #endSession(process: number): Promise<void> {
    const seat = this.#seat(process);
    if (seat.session !== undefined) {
      await this.database.query('SELECT pg_terminate_backend($1, 10000)', [seat.session.pid]);
    }
    seat.session = undefined;
  }

  async #pids(sql: string, parameter: unknown): Promise<Set<number>> {
    const { rows } = await this.database.query<{ pid: number }>(sql, [parameter]);
    return new Set(rows.map(({ pid }) => pid));
  }

  #seat(process: number): Seat {
    return this.seats[process - 1]!;
  }

  #numbers(isOne: (seat: Seat) => boolean): number[] {
    return this.seats.flatMap((seat, at) => (isOne(seat) ? [at + 1] : []));
  }
}

function portOf({ session }: Seat): PgAdapter {
  if (session === undefined) throw new Error('this process has no session');
  return new PgAdapter(session.client);
}

/** The model's state in the same terms. */
export function projectLeadership({
  election,
}: Readonly<Record<string, Plain>>): Readonly<Record<string, Plain>> {
  const { holders, processes } = election as unknown as {
    readonly holders: readonly number[];
    readonly processes: Readonly<Record<string, { readonly session: boolean }>>;
  };
  const sessions = Object.keys(processes).filter((process) => processes[process]!.session);
  return { holders, sessions: sessions.map(Number), named: holders };
}
