import { defineJob, type EnqueueOptions, QueueService } from 'nestjs-awa';
import type { Client } from 'pg';
import { beforeEach, describe, expect, it } from 'vitest';

import { useTestApps } from '../support/test-app.js';
import { useTestDatabase } from '../support/test-database.js';

const Work = defineJob<{ n: number }, 'work'>('work', { queue: 'a' });

describe('enqueuing transactions', () => {
  const database = useTestDatabase();
  const apps = useTestApps(database);
  let queue: QueueService;
  let one: Client;
  let two: Client;

  beforeEach(async () => {
    ({ queue } = await apps.start({ worker: false, queues: { a: {}, b: {} } }));
    // Only a superuser may set the time after which a deadlock is looked for.
    await database.query(
      "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET deadlock_timeout = 50', current_database()); END $$",
    );
    [one, two] = [await database.client(), await database.client()];
    for (const client of [one, two]) await client.query('SET lock_timeout = 200');
  });

  async function put(client: Client, options: EnqueueOptions = {}): Promise<string> {
    return (await queue.enqueue(Work, { n: 1 }, { client, ...options })).id;
  }

  it.each(['one', 'two'])('do not wait for each other (%s opens first)', async (first) => {
    const [holder, other] = first === 'one' ? [one, two] : [two, one];
    await holder.query('BEGIN');
    const held = await put(holder);
    // Each of these would run into lock_timeout.
    await other.query('BEGIN');
    const passed = [await put(other), await put(other, { queue: 'b' }), await put(other, { delay: 60_000 })];
    await other.query('COMMIT');
    expect(await queue.getJob(held)).toBeNull();
    await holder.query('COMMIT');
    for (const id of [held, ...passed]) expect(await queue.getJob(id)).not.toBeNull();
  });

  it('do not wait for one that has enqueued thousands', async () => {
    await one.query('BEGIN');
    const many = Array.from({ length: 5_000 }, (_, n) => ({ n }));
    await queue.enqueueMany(Work, many, { client: one });
    await queue.enqueueMany(Work, many, { client: two });
    await one.query('ROLLBACK');
    const { rows } = await database.query<{ jobs: number }>(
      'SELECT count(*)::int AS jobs FROM awa.ready_entries WHERE created_at > now() - interval $$1 minute$$',
    );
    expect(rows[0]?.jobs).toBeGreaterThanOrEqual(5_000);
  });

  it('do not deadlock when they enqueue into the same queues in opposite orders', async () => {
    const before: Record<string, number> = {};
    for (const name of ['a', 'b']) before[name] = (await queue.countJobs(name)).available.count;
    for (let round = 0; round < 20; round++) {
      await Promise.all([one.query('BEGIN'), two.query('BEGIN')]);
      await Promise.all([put(one, { queue: 'a' }), put(two, { queue: 'b' })]);
      await Promise.all([put(one, { queue: 'b' }), put(two, { queue: 'a' })]);
      await Promise.all([one.query('COMMIT'), two.query('COMMIT')]);
    }
    for (const name of ['a', 'b']) {
      expect((await queue.countJobs(name)).available.count - (before[name] ?? 0)).toBe(40);
    }
  });

  it('do not wait for a process that starts, or that starts while they are open', async () => {
    await one.query('BEGIN');
    await put(one);
    // Registers its queues, old and new ones, and an instance.
    const late = await apps.start({ queues: { a: {}, b: {}, c: {} }, worker: { queues: ['c'] } });
    await one.query('COMMIT');
    await two.query('BEGIN');
    await late.queue.enqueue(Work, { n: 2 }, { client: two, queue: 'c' });
    await two.query('ROLLBACK');
    expect((await late.queue.countJobs('c')).available.count).toBe(0);
  });
});
