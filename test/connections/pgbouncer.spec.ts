import { defineJob } from 'nestjs-awa';
import { Client } from 'pg';
import { beforeAll, describe, expect, it } from 'vitest';
import { leaderChannel } from '../../lib/storage/operations/leadership.js';
import { schemaName } from '../../lib/storage/schema-name.js';
import { deferred, until } from '../support/signals.js';
import { handlerOf, jobIn, useTestApps } from '../support/test-app.js';
import { useTestDatabase } from '../support/test-database.js';
import { useTestRoles } from '../support/test-roles.js';
import { PGBOUNCER, usePgBouncer } from './pgbouncer.js';

const Work = defineJob<number, 'work'>('work', { retry: { baseMs: 0 } });

describe.skipIf(PGBOUNCER === undefined)('through PgBouncer', () => {
  const database = useTestDatabase();
  const apps = useTestApps(database);
  const role = useTestRoles(database);
  const pooler = usePgBouncer();
  let direct: string;
  let pooled: string;

  beforeAll(async () => {
    const { name, url } = await role('runtime');
    // Of the application's requests; ours have limits of their own.
    await database.query(
      `ALTER ROLE ${name} SET statement_timeout = '7s'; ALTER ROLE ${name} SET lock_timeout = '6s'`,
    );
    direct = url;
    pooled = await pooler(url);
  });

  /** Sessions that hold a leader's lock. */
  async function leaders(): Promise<number> {
    const { rowCount } = await database.query(
      `SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database
       WHERE d.datname = current_database() AND l.locktype = 'advisory'
         AND (l.classid::bigint << 32) | l.objid::bigint = $1::bigint`,
      [schemaName().leaderKey],
    );
    return rowCount ?? 0;
  }

  /** What each server session behind the pooler is set to, all of them at once. */
  async function sessionSettings(): Promise<string[]> {
    const clients = await Promise.all(
      Array.from({ length: 5 }, async () => {
        const client = new Client({ connectionString: pooled });
        await client.connect();
        return client;
      }),
    );
    // Each in a transaction, until all have one: so each is in another session.
    for (const client of clients) await client.query('BEGIN');
    const found = new Map<number, string>();
    const { channel } = schemaName();
    for (const client of clients) {
      const { rows } = await client.query<{ pid: number; settings: string }>(
        `SELECT pg_backend_pid() AS pid, concat_ws(' ', current_setting('statement_timeout'), current_setting('lock_timeout'),
           (SELECT count(*) FROM pg_prepared_statements), (SELECT count(*) FROM pg_listening_channels() AS c WHERE c = ANY ($1::text[]))) AS settings`,
        [[channel, `${channel}_cancel`, leaderChannel(schemaName())]],
      );
      found.set(rows[0]!.pid, rows[0]!.settings);
    }
    for (const client of clients) await client.query('ROLLBACK');
    await Promise.all(clients.map(async (client) => client.end()));
    return [...found.values()];
  }

  it('in transaction mode a worker works: by polling, without a leader, and leaves nothing behind in the sessions', async () => {
    const worker = await apps.start({
      url: pooled,
      worker: { pollIntervalMs: 20 },
      handlers: [
        handlerOf(Work, async ({ args, attempt }, { checkpoint }) => {
          if (args === 2) await checkpoint({ attempt });
          if (args === 2 && attempt === 1) throw new Error('once more');
        }),
      ],
    });
    const { queue } = worker;
    const jobs = await queue.enqueueMany(
      Work,
      Array.from({ length: 300 }, (_, n) => n),
    );
    for (const { id } of jobs) await jobIn('completed', queue, id, 20_000);
    expect(await queue.getJob(jobs[2]!.id)).toMatchObject({ attempt: 2, state: 'completed' });
    const { id: later } = await queue.enqueue(Work, 1_000, { delay: 50 });
    await jobIn('completed', queue, later);

    const told = (part: string) => apps.logs.filter((line) => line.startsWith('WARN') && line.includes(part));
    await until(async () => told('notifications do not come').length === 1, { what: 'the test of NOTIFY' });
    expect(told('no leader can be elected')).toHaveLength(1);
    const warnings = apps.logs.filter((line) => line.startsWith('WARN') && !line.includes('once more'));
    expect(warnings).toHaveLength(2);
    expect(await leaders()).toBe(0);
    await until(async () => (await sessionSettings()).every((settings) => settings === '7s 6s 0 0'), {
      what: 'the sessions being as they were',
    });
    expect(await sessionSettings()).toHaveLength(5);
    await worker.close();
    const { rows } = await database.query('SELECT FROM awa.runtime_instances');
    expect(rows).toEqual([]);
  });

  it('in transaction mode, for producers, a job that runs can be cancelled', async () => {
    const running = deferred();
    const aborted = deferred();
    const { queue } = await apps.start({
      url: pooled,
      directUrl: direct,
      handlers: [
        handlerOf(Work, async (_, { signal }) => {
          signal.addEventListener('abort', () => aborted.resolve());
          running.resolve();
          await aborted.promise;
        }),
      ],
    });
    const { id } = await queue.enqueue(Work, 1);
    await running.promise;
    await queue.cancelJob(id);
    await aborted.promise;
    expect(await queue.getJob(id)).toMatchObject({ state: 'cancelled' });
  });

  it('in transaction mode with directUrl there is a leader, and nobody has to poll', async () => {
    const { queue } = await apps.start({
      url: pooled,
      directUrl: direct,
      worker: { pollIntervalMs: 60_000 },
      handlers: [handlerOf(Work, () => undefined)],
    });
    await until(
      async () => {
        const { rows } = await database.query<{ leads: boolean | null }>(
          'SELECT awa.current_leader() IN (SELECT instance_id FROM awa.runtime_instances) AS leads',
        );
        return rows[0]?.leads === true;
      },
      { what: 'a leader' },
    );
    expect(await leaders()).toBe(1);
    const client = await database.ownerClient();
    const woken = deferred();
    client.on('notification', () => woken.resolve());
    await client.query(`LISTEN ${schemaName().channel}`);
    const { id } = await queue.enqueue(Work, 1);
    await woken.promise;
    await jobIn('completed', queue, id);
    expect(apps.logs.filter((line) => line.startsWith('WARN'))).toEqual([]);
  });

  it('or in session mode, notifications come', async () => {
    const { queue } = await apps.start({
      url: await pooler(direct, 'session'),
      worker: { pollIntervalMs: 60_000 },
      handlers: [handlerOf(Work, () => undefined)],
    });
    await until(
      async () => {
        const { rows } = await database.query(
          `SELECT FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'`,
        );
        return rows.length > 0;
      },
      { what: 'the worker listening' },
    );
    for (let n = 0; n < 3; n++) {
      const { id } = await queue.enqueue(Work, n);
      await jobIn('completed', queue, id);
    }
    expect(apps.logs.filter((line) => line.includes('notifications do not come'))).toEqual([]);
  });
});
