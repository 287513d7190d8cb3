import { defineJob } from 'nestjs-awa';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { runMigrations } from '../../lib/migrate/run-migrations.js';
import { type PostgresServer, startPostgres } from '../postgres/server.js';
import { until } from '../support/signals.js';
import { handlerOf, useTestApps } from '../support/test-app.js';

const Work = defineJob<number, 'work'>('work');

describe('a restart of Postgres under load', () => {
  const target = { url: '' };
  const apps = useTestApps(target);
  let server: PostgresServer;

  beforeAll(async () => {
    server = await startPostgres({
      temporary: true,
      // Survives the end of the server's processes, if not of the machine.
      settings: { fsync: 'off', shared_buffers: '32MB' },
      binDir: process.env['TEST_POSTGRES_BIN'],
    });
    target.url = server.url;
    await runMigrations({ url: server.url });
  });

  afterAll(async () => {
    await server.stop('immediate');
  });

  async function query<Row extends object>(sql: string, params: unknown[] = []): Promise<Row[]> {
    const client = new Client({ connectionString: server.url });
    client.on('error', () => undefined);
    await client.connect();
    try {
      return (await client.query<Row>(sql, params)).rows;
    } finally {
      await client.end();
    }
  }

  it.each(['fast', 'immediate'] as const)('loses nothing (%s)', async (mode) => {
    let runs = 0;
    const { queue } = await apps.start({
      queues: { default: { maxWorkers: 10 } },
      handlers: [handlerOf(Work, () => (runs += 1))],
    });

    // What an enqueue has answered for is there for good; what failed may be there or not.
    const acknowledged: string[] = [];
    let failures = 0;
    const load = { on: true };
    const producing = (async () => {
      while (load.on) {
        await queue.enqueueMany(Work, [1, 2, 3, 4, 5]).then(
          (jobs) => acknowledged.push(...jobs.map(({ id }) => id)),
          () => (failures += 1),
        );
      }
    })();
    await until(async () => runs > 100, { what: 'the load' });
    await server.restart(mode);
    const before = runs;
    await until(async () => runs > before + 100, { what: 'the worker at work again', timeoutMs: 20_000 });
    load.on = false;
    await producing;

    const jobs = await until(
      async () => {
        const rows = await query<{ state: string; attempt: number; jobs: number }>(
          `SELECT j.state, j.attempt, count(*)::int AS jobs FROM unnest($1::bigint[]) AS id
           LEFT JOIN LATERAL awa.get_job(id) j ON true GROUP BY 1, 2`,
          [acknowledged],
        );
        return rows.every(({ state }) => state === 'completed') && rows;
      },
      { what: 'all acknowledged jobs being completed', timeoutMs: 20_000 },
    );
    expect(jobs).toEqual([{ state: 'completed', attempt: 1, jobs: acknowledged.length }]);
    expect(failures).toBeGreaterThan(0);
  });
});
