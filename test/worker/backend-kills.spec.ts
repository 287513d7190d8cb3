import { setImmediate as turn } from 'node:timers/promises';

import type { Type } from '@nestjs/common';
import { defineJob } from 'nestjs-awa';
import { DataSource } from 'typeorm';
import { afterEach, describe, expect, it } from 'vitest';

import { until } from '../support/signals.js';
import {
  failOnUnhandled,
  handlerOf,
  type TestApp,
  type TestAppOptions,
  useTestApps,
} from '../support/test-app.js';
import { useTestDatabase } from '../support/test-database.js';

const Work = defineJob<number, 'work'>('work');

const ROUNDS = 8;
const JOBS_A_ROUND = 60;

describe('a worker whose backends are terminated again and again', () => {
  failOnUnhandled();
  const database = useTestDatabase();
  // Closed after the applications.
  afterEach(async () => {
    await dataSource?.destroy();
    dataSource = undefined;
  });
  const apps = useTestApps(database);
  let dataSource: DataSource | undefined;

  /** Every connection of every application, whatever it is doing. */
  async function terminateAll(): Promise<number> {
    const { rows } = await database.query<{ killed: number }>(
      `SELECT count(pg_terminate_backend(pid))::int AS killed FROM pg_stat_activity
       WHERE datname = current_database() AND application_name LIKE 'awa%'`,
    );
    return rows[0]?.killed ?? 0;
  }

  async function completed(): Promise<number> {
    const { rows } = await database.query<{ jobs: number }>(
      'SELECT coalesce(sum(cardinality(job_ids)), 0)::int AS jobs FROM awa.completion_batches',
    );
    return rows[0]?.jobs ?? 0;
  }

  async function startWorker(mode: 'url' | 'dataSource', handler: Type): Promise<TestApp> {
    const options: TestAppOptions = {
      queues: { default: { maxWorkers: 5 } },
      worker: { pollIntervalMs: 20 },
      handlers: [handler],
    };
    if (mode === 'url') return apps.start(options);
    dataSource = await new DataSource({
      type: 'postgres',
      url: database.url,
      applicationName: 'awa in a DataSource',
      logging: false,
    }).initialize();
    return apps.start({ dataSource, ...options });
  }

  it.each(['url', 'dataSource'] as const)(
    'loses no job, burns no attempt and recovers (%s)',
    async (mode) => {
      const before = await completed();
      const runs = new Map<number, number>();
      const handler = handlerOf(Work, async ({ args: n }) => {
        await turn();
        runs.set(n, (runs.get(n) ?? 0) + 1);
      });
      const worker = await startWorker(mode, handler);
      // A connection that is spared: what is enqueued is known to be.
      const client = await database.client();
      let killed = 0;
      const ids: string[] = [];
      for (let round = 0; round < ROUNDS; round++) {
        const then = await completed();
        const numbers = Array.from({ length: JOBS_A_ROUND }, (_, n) => round * JOBS_A_ROUND + n);
        // The service's own look at the queues may meet a connection that was just killed.
        const jobs = await until(async () => worker.queue.enqueueMany(Work, numbers, { client }), {
          what: 'the enqueue',
        });
        ids.push(...jobs.map(({ id }) => id));
        // In the middle of it: the first after some have completed, the second while it reconnects.
        await until(async () => (await completed()) > then, { what: 'some progress', timeoutMs: 20_000 });
        killed += await terminateAll();
        killed += await terminateAll();
      }
      await until(async () => (await completed()) === before + ROUNDS * JOBS_A_ROUND, {
        what: 'all jobs being completed',
        timeoutMs: 20_000,
      });

      expect(killed).toBeGreaterThanOrEqual(2 * ROUNDS);
      expect(runs.size).toBe(ROUNDS * JOBS_A_ROUND);
      const { rows } = await database.query(
        `SELECT j.state, j.attempt, count(*)::int AS jobs FROM unnest($1::bigint[]) AS id
       CROSS JOIN LATERAL awa.get_job(id) j GROUP BY 1, 2`,
        [ids],
      );
      expect(rows).toEqual([{ state: 'completed', attempt: 1, jobs: ROUNDS * JOBS_A_ROUND }]);
    },
  );
});
