import { defineJob } from 'nestjs-awa';
import { DataSource, type Logger } from 'typeorm';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { type TestApp, useTestApps } from '../support/test-app.js';
import { useTestDatabase } from '../support/test-database.js';

const Work = defineJob<{ n: number }, 'work'>('work');

describe('enqueueMany', () => {
  const database = useTestDatabase();
  const apps = useTestApps(database);
  const statements: string[] = [];
  let dataSource: DataSource;
  let app: TestApp;

  beforeAll(async () => {
    const logger = { logQuery: (query: string) => statements.push(query) } as unknown as Logger;
    const options = { type: 'postgres', url: database.url, logging: ['query'], logger } as const;
    dataSource = await new DataSource({ ...options, logging: ['query'] }).initialize();
  });

  afterAll(async () => {
    await dataSource.destroy();
  });

  beforeEach(async () => {
    app = await apps.start({ dataSource, worker: false });
    // The first enqueue of a process looks whether the queue exists.
    await app.queue.enqueueMany(Work, []);
    statements.length = 0;
  });

  it.each([10_000, 25_000])('puts %i jobs with one statement, ids in order', async (length) => {
    const before = await app.queue.countJobs('default', { cap: 100_000 });
    statements.length = 0;
    const list = Array.from({ length }, (_, n) => ({ n }));
    const jobs = await dataSource.transaction(async (manager) =>
      app.queue.enqueueMany(Work, list, { manager }),
    );
    expect(statements).toEqual(['START TRANSACTION', expect.stringContaining('enqueue_jobs('), 'COMMIT']);

    expect(jobs).toHaveLength(length);
    const ids = jobs.map(({ id }) => id);
    const { rows } = await database.query<{ ids: string[]; numbers: number[] }>(
      `SELECT array_agg(job_id::text ORDER BY job_id) AS ids, array_agg((args->>'n')::int ORDER BY job_id) AS numbers
       FROM awa.ready_entries WHERE job_id BETWEEN $1::bigint AND $2::bigint`,
      [ids[0], ids.at(-1)],
    );
    expect(rows[0]?.ids).toEqual(ids);
    expect(rows[0]?.numbers).toEqual(list.map(({ n }) => n));
    expect((await app.queue.countJobs('default', { cap: 100_000 })).available.count).toBe(
      before.available.count + length,
    );
  });

  it('takes an empty list, without a statement', async () => {
    expect(await app.queue.enqueueMany(Work, [])).toEqual([]);
    expect(statements).toEqual([]);
  });

  it('refuses all of 1,000 when the last is bad, without a statement', async () => {
    const list: { n: number }[] = Array.from({ length: 999 }, (_, n) => ({ n }));
    const bad = app.queue.enqueueMany(Work, [...list, { n: Number.NaN }]);
    await expect(bad).rejects.toMatchObject({ code: 'AWA_INVALID_ARGS' });
    expect(statements).toEqual([]);
  });

  it('gives all of them the same options', async () => {
    const jobs = await app.queue.enqueueMany(Work, [{ n: 1 }, { n: 2 }], {
      priority: 4,
      maxAttempts: 3,
      delay: 60_000,
      tags: ['bulk'],
    });
    for (const { id } of jobs) {
      expect(await app.queue.getJob(id)).toMatchObject({
        state: 'scheduled',
        priority: 4,
        maxAttempts: 3,
        tags: ['bulk'],
      });
    }
  });
});
