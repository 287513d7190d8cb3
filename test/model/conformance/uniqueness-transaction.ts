import type { Client, DatabaseError } from 'pg';
import { PgAdapter } from '../../../lib/storage/adapters/pg.adapter.js';
import { until } from '../../support/signals.js';
import type { ReplayDatabase } from '../models.js';

/** How a statement ended. */
type Outcome = { readonly value: unknown } | { readonly error: DatabaseError };

/**
 * A connection of the model: a transaction that stays open until it is told to end, and at most one statement of it that waits.
 *
 * A statement that waited may have ended long before the model says so; it counts as waiting until {@link take}.
 */
export class ReplayTransaction {
  readonly port: PgAdapter;
  #isOpen = false;
  #isFixed = false;
  #statement: { outcome: Outcome | undefined; readonly ended: Promise<void> } | undefined;

  private constructor(
    readonly client: Client,
    readonly pid: number,
    private readonly database: ReplayDatabase,
  ) {
    this.port = new PgAdapter(client);
  }

  static async open(database: ReplayDatabase): Promise<ReplayTransaction> {
    const client = await database.client();
    // What waits although the model does not is an error soon.
    await client.query("SET lock_timeout = '15s'");
    const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    return new ReplayTransaction(client, rows[0]!.pid, database);
  }

  /** Whether it sees what is committed now, and what it has written. */
  get isCurrent(): boolean {
    return this.#isOpen && !this.#isFixed && !this.isWaiting;
  }

  get isWaiting(): boolean {
    return this.#statement !== undefined;
  }

  /** Of a statement that waits: how it ended, if it has. */
  get outcome(): Outcome | undefined {
    return this.#statement?.outcome;
  }

  async begin(): Promise<void> {
    if (!this.#isOpen) await this.client.query('BEGIN');
    this.#isOpen = true;
  }

  /** With one snapshot for all statements, which is taken now. */
  async beginFixed(): Promise<void> {
    await this.client.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
    await this.client.query('SELECT 1');
    this.#isOpen = true;
    this.#isFixed = true;
  }

  /** Begins a statement. What it answers is got with {@link take}. */
  async start(statement: () => Promise<unknown>): Promise<void> {
    await this.begin();
    const running: { outcome: Outcome | undefined; ended: Promise<void> } = {
      outcome: undefined,
      ended: Promise.resolve(),
    };
    running.ended = statement().then(
      (value) => void (running.outcome = { value }),
      (error: DatabaseError) => void (running.outcome = { error }),
    );
    this.#statement = running;
  }

  /** The answer of the statement, when it has ended. */
  async take(): Promise<unknown> {
    const statement = this.#statement;
    if (statement === undefined) throw new Error('there is no statement');
    await statement.ended;
    this.#statement = undefined;
    if (statement.outcome !== undefined && 'value' in statement.outcome) return statement.outcome.value;
    throw statement.outcome!.error;
  }

  /** Whom the statement waits for, as the server says. */
  async blockers(): Promise<readonly number[]> {
    const { rows } = await this.database.query<{ pids: number[] }>('SELECT pg_blocking_pids($1) AS pids', [
      this.pid,
    ]);
    return rows[0]!.pids;
  }

  /** Resolves when the statement waits, for the other one if one is given. */
  async blocked(other?: ReplayTransaction): Promise<void> {
    await until(
      async () => {
        if (this.#statement?.outcome !== undefined) return true;
        const pids = await this.blockers();
        return other === undefined ? pids.length > 0 : pids.includes(other.pid);
      },
      { what: `the statement waiting for ${other === undefined ? 'a lock' : `session ${other.pid}`}` },
    );
    const outcome = this.#statement?.outcome;
    // Ended by the server already, since it waited in a circle.
    if (outcome !== undefined && 'error' in outcome && outcome.error.code === '40P01') return;
    if (outcome !== undefined) {
      throw new Error(`the statement did not wait: ${JSON.stringify(await this.take())}`);
    }
  }

  async end(how: 'COMMIT' | 'ROLLBACK'): Promise<void> {
    if (this.#statement !== undefined) {
      // Broken off, unless it has failed already.
      await this.database.query('SELECT pg_cancel_backend($1)', [this.pid]);
      await this.take().catch(() => undefined);
    }
    await this.client.query(how);
    this.#isOpen = false;
    this.#isFixed = false;
  }
}
