import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client, escapeIdentifier } from 'pg';
import { cpuSecondsOfTree } from './processes.js';
import { ROOT_URL } from './root.js';

/** As the public harness has them. */
export const POSTGRES_SETTINGS: Readonly<Record<string, string>> = {
  shared_buffers: '256MB',
  work_mem: '8MB',
  maintenance_work_mem: '128MB',
  max_connections: '400',
  synchronous_commit: 'on',
  wal_level: 'replica',
  autovacuum_naptime: '60s',
  autovacuum_vacuum_cost_limit: '200',
  autovacuum_vacuum_cost_delay: '2ms',
};

/** Counters that only grow: what a run used is the difference of two readings. */
export interface PostgresCounters {
  readonly cpuSeconds: number | undefined;
  readonly walBytes: number;
  readonly commits: number;
}

/** What the launcher of the tests gives. It is compiled apart from this package, which therefore cannot name its types. */
interface Server {
  readonly url: string;
  readonly dataDir: string;
  readonly version: string;
  stop(mode?: 'fast' | 'immediate'): Promise<void>;
}
interface Launcher {
  startPostgres(options: { temporary: boolean; settings: Readonly<Record<string, string>> }): Promise<Server>;
}

/** The one server of a whole run, and the administrator's connection to it. */
export class Postgres {
  private constructor(
    private readonly server: Server,
    private readonly admin: Client,
    private readonly postmasterPid: number,
  ) {}

  static async start(): Promise<Postgres> {
    const launcher = (await import(new URL('build/test/postgres/server.js', ROOT_URL).href)) as Launcher;
    const server = await launcher.startPostgres({ temporary: true, settings: POSTGRES_SETTINGS });
    const pid = Number(readFileSync(join(server.dataDir, 'postmaster.pid'), 'utf8').split('\n')[0]);
    const admin = new Client({ connectionString: server.url });
    // A server that is stopped under us ends the connection: the query that is under way says so.
    admin.on('error', () => {});
    await admin.connect();
    return new Postgres(server, admin, pid);
  }

  get version(): string {
    return this.server.version;
  }

  urlOf(database: string): string {
    const url = new URL(this.server.url);
    url.pathname = `/${database}`;
    return url.href;
  }

  /** Drops what an interrupted run may have left under the name. */
  async createDatabase(name: string): Promise<void> {
    await this.dropDatabase(name);
    await this.admin.query(`CREATE DATABASE ${escapeIdentifier(name)}`);
  }

  async dropDatabase(name: string): Promise<void> {
    await this.admin.query(`DROP DATABASE IF EXISTS ${escapeIdentifier(name)} WITH (FORCE)`);
  }

  /** Otherwise one system pays for the pages that another has written. */
  async checkpoint(): Promise<void> {
    await this.admin.query('CHECKPOINT');
  }

  async readCounters(database: string): Promise<PostgresCounters> {
    const { rows } = await this.admin.query<{ wal: string; commits: string | null }>(
      `SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::text AS wal,
              (SELECT xact_commit::text FROM pg_stat_database WHERE datname = $1) AS commits`,
      [database],
    );
    const row = rows[0];
    return {
      cpuSeconds: cpuSecondsOfTree(this.postmasterPid),
      walBytes: Number(row?.wal),
      commits: Number(row?.commits),
    };
  }

  async countConnections(database: string): Promise<number> {
    const { rows } = await this.admin.query<{ count: number }>(
      'SELECT count(*)::int AS count FROM pg_stat_activity WHERE datname = $1',
      [database],
    );
    return rows[0]?.count ?? 0;
  }

  /** Tables that have dead tuples. Read it after the adapters have ended: until then they keep a part of their counts to themselves. */
  async readDeadTuples(database: string): Promise<Readonly<Record<string, number>>> {
    const client = new Client({ connectionString: this.urlOf(database) });
    client.on('error', () => {});
    await client.connect();
    try {
      const { rows } = await client.query<{ table: string; dead: number }>(
        `SELECT schemaname || '.' || relname AS table, n_dead_tup::int AS dead
         FROM pg_stat_user_tables WHERE n_dead_tup > 0 ORDER BY n_dead_tup DESC`,
      );
      return Object.fromEntries(rows.map(({ table, dead }) => [table, dead]));
    } finally {
      await client.end();
    }
  }

  /**
   * Holds a transaction open in the database, with an id of its own and a snapshot: from now on no vacuum removes a row version there.
   * @returns what ends it
   */
  async holdTransaction(database: string): Promise<() => Promise<void>> {
    const client = new Client({ connectionString: this.urlOf(database) });
    client.on('error', () => {});
    await client.connect();
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
    await client.query('SELECT pg_current_xact_id()');
    return () => client.end();
  }

  async stop(): Promise<void> {
    await this.admin.end().catch(() => {});
    await this.server.stop('immediate');
  }
}
