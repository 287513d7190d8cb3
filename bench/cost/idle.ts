import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';
import { openApplication } from './application.js';
import type { Table } from './table.js';

const SECONDS = 60;

/** What a connected worker that leads and has nothing to do sends and uses, in its second minute. */
export async function idleCost(url: string): Promise<Table> {
  const admin = new Client({ connectionString: url });
  await admin.connect();
  await admin.query('CREATE EXTENSION IF NOT EXISTS pg_stat_statements');
  const app = await openApplication(url, true);
  await delay(SECONDS * 1_000);

  await admin.query('SELECT pg_stat_statements_reset()');
  const cpuBefore = process.cpuUsage();
  const startedAt = performance.now();
  await delay(SECONDS * 1_000);
  const { user, system } = process.cpuUsage(cpuBefore);
  const seconds = (performance.now() - startedAt) / 1_000;
  const { rows } = await admin.query<{ calls: number; ms: number }>(
    `SELECT sum(calls)::int AS calls, sum(total_exec_time)::float8 AS ms FROM pg_stat_statements
     WHERE query NOT LIKE '%pg_stat_statements%'`,
  );
  const { calls, ms } = rows[0]!;
  await app.close();
  await admin.end();
  return {
    name: 'idle',
    columns: ['', 'statements/s', 'CPU % of Node', 'CPU % of the statements'],
    rows: [['one worker', calls / seconds, (user + system) / 1e4 / seconds, ms / 10 / seconds]],
  };
}
