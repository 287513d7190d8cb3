import { randomUUID } from 'node:crypto';
import { Client } from 'pg';
import { runMigrations } from '../../lib/migrate/run-migrations.js';
import { PgAdapter } from '../../lib/storage/adapters/pg.adapter.js';
import { type ClaimedJob, claimJobs } from '../../lib/storage/operations/claim-jobs.js';
import { enqueueJobs, type NewJob } from '../../lib/storage/operations/enqueue-jobs.js';
import { registerInstance } from '../../lib/storage/operations/instances.js';
import { registerQueues } from '../../lib/storage/operations/queues.js';
import { schemaName } from '../../lib/storage/schema-name.js';

export const SCHEMA = schemaName();

const ARGS = JSON.stringify({ pad: 'x'.repeat(240) });

/** A session on a database of its own, with one queue and one instance. */
export class BenchSession {
  readonly queue = 'bench';
  readonly instanceId = randomUUID();
  readonly port: PgAdapter;

  private constructor(readonly client: Client) {
    this.port = new PgAdapter(client);
  }

  /** Creates the database anew. */
  static async open(serverUrl: string, database: string): Promise<BenchSession> {
    const admin = await connect(serverUrl);
    await admin.query(`DROP DATABASE IF EXISTS ${database} WITH (FORCE)`);
    await admin.query(`CREATE DATABASE ${database}`);
    await admin.end();
    const url = new URL(serverUrl);
    url.pathname = `/${database}`;
    await runMigrations({ url: url.href });
    const session = new BenchSession(await connect(url.href));
    await registerQueues(session.port, SCHEMA, [session.queue]);
    await registerInstance(session.port, SCHEMA, {
      instanceId: session.instanceId,
      hostname: 'bench',
      pid: process.pid,
      version: '0',
      queues: [session.queue],
      staleAfterMs: 3_600_000,
    });
    return session;
  }

  /** Another session on the same database. */
  async another(): Promise<Client> {
    const { host, port, user, password, database } = this.client;
    return connect({
      host,
      port,
      user: user ?? 'postgres',
      password: password ?? '',
      database: database ?? '',
    });
  }

  async enqueue(count: number, port = this.port): Promise<void> {
    for (let left = count; left > 0; left -= 10_000) {
      await enqueueJobs(
        port,
        SCHEMA,
        Array.from({ length: Math.min(left, 10_000) }, () => this.job()),
      );
    }
  }

  async claim(limit: number): Promise<readonly ClaimedJob[]> {
    return (await claimJobs(this.port, SCHEMA, this.instanceId, [{ queue: this.queue, limit }])).jobs;
  }

  private job(): NewJob {
    return {
      queue: this.queue,
      priority: 2,
      kind: 'bench',
      argsJson: ARGS,
      maxAttempts: 25,
      runAt: undefined,
      delayMs: undefined,
      payloadJson: undefined,
    };
  }
}

async function connect(to: string | ConstructorParameters<typeof Client>[0]): Promise<Client> {
  const client = new Client(to);
  await client.connect();
  return client;
}

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
