import { defineJob, QueueAdminService, UnknownQueueError } from 'nestjs-awa';
import { beforeEach, describe, expect, it } from 'vitest';
import { claimersOf } from '../support/claimer-state.js';
import { deferred, until } from '../support/signals.js';
import { handlerOf, jobIn, type TestApp, useTestApps } from '../support/test-app.js';
import { useTestDatabase } from '../support/test-database.js';

const Work = defineJob<number, 'work'>('work', { queue: 'work' });
const Other = defineJob<number, 'other'>('other', { queue: 'other' });
const QUEUES = { work: { maxWorkers: 2 }, other: {} };

describe('QueueAdminService', () => {
  const database = useTestDatabase();
  const apps = useTestApps(database);
  let producer: TestApp;
  let admin: QueueAdminService;

  beforeEach(async () => {
    producer = await apps.start({ queues: QUEUES, worker: false });
    admin = producer.app.get(QueueAdminService);
    await admin.resume('work');
    await admin.drain('work');
  });

  it('keeps a paused queue, and only it, from being claimed from until it is resumed', async () => {
    await admin.pause('work', { reason: 'provider is down', by: 'ops' });
    await apps.start({
      queues: QUEUES,
      // So slow a poll that only a notification wakes it in time.
      worker: { pollIntervalMs: 60_000 },
      handlers: [handlerOf(Work, () => undefined), handlerOf(Other, () => undefined)],
    });
    const { id: held } = await producer.queue.enqueue(Work, 1);
    const { id: free } = await producer.queue.enqueue(Other, 2);
    await jobIn('completed', producer.queue, free);
    expect((await producer.queue.getJob(held))?.state).toBe('available');
    expect(await admin.resume('work')).toMatchObject({ pausedAt: undefined, pauseReason: undefined });
    await jobIn('completed', producer.queue, held);
  });

  it('lets what runs go on, and claims nothing more', async () => {
    const running = deferred();
    const finish = deferred();
    await apps.start({
      queues: { work: { maxWorkers: 1 } },
      worker: { pollIntervalMs: 10 },
      handlers: [
        handlerOf(Work, async () => {
          running.resolve();
          await finish.promise;
        }),
      ],
    });
    const { id: first } = await producer.queue.enqueue(Work, 1);
    const { id: second } = await producer.queue.enqueue(Work, 2);
    await running.promise;
    await admin.pause('work');
    finish.resolve();
    await jobIn('completed', producer.queue, first);
    // Looked for after the pause, more than once, by a worker that is free.
    const looks = async () => {
      const { rows } = await database.query<{ scans: string }>(
        `SELECT pg_stat_force_next_flush(), sum(idx_scan)::text AS scans FROM pg_stat_user_indexes WHERE indexrelname LIKE 'queues_pkey'`,
      );
      return Number(rows[0]?.scans);
    };
    const before = await looks();
    await until(async () => (await looks()) > before + 10, { what: 'ten more looks for work' });
    expect((await producer.queue.getJob(second))?.state).toBe('available');
  });

  it('remembers why, by whom and since when, over restarts', async () => {
    const paused = await admin.pause('work', { reason: 'provider is down', by: 'ops' });
    expect(paused).toMatchObject({ name: 'work', pauseReason: 'provider is down', pausedBy: 'ops' });
    expect(Math.abs(paused.pausedAt!.getTime() - Date.now())).toBeLessThan(10_000);
    await producer.close();
    const again = (await apps.start({ queues: QUEUES, worker: false })).app.get(QueueAdminService);
    expect(await again.getQueue('work')).toEqual(paused);
    // The newer reason, the older time.
    expect(await again.pause('work', { reason: 'still' })).toEqual({
      ...paused,
      pauseReason: 'still',
      pausedBy: undefined,
    });
    const list = await again.listQueues();
    expect(list.map(({ name, pausedAt }) => [name, pausedAt !== undefined])).toEqual([
      ['other', false],
      ['work', true],
    ]);
  });

  it('shows who claims, as slot and epoch', async () => {
    await claimersOf(database).freeze('other', { target: 2, hot: true });
    await database.query(
      `INSERT INTO awa.queue_claimer_leases (queue, claimer_slot, owner_instance_id, epoch, last_claimed_at, expires_at)
       SELECT 'other', n, gen_random_uuid(), 7 + n, clock_timestamp(),
         clock_timestamp() + CASE n WHEN 0 THEN interval '1 hour' ELSE interval '-1 s' END FROM generate_series(0, 1) AS n`,
    );
    expect(await admin.getQueue('other')).toMatchObject({
      isHot: true,
      claimerTarget: 2,
      maxClaimers: 4,
      claimers: [{ slot: 0, epoch: 7 }],
    });
    await database.query('DELETE FROM awa.queue_claimer_leases');
  });

  it('cancels everything that waits, with the reason, and nothing else', async () => {
    await admin.pause('work');
    const { id: foreign } = await producer.queue.enqueue(Other, 0, { delay: 60_000 });
    const waiting = await producer.queue.enqueueMany(
      Work,
      Array.from({ length: 1_203 }, (_, n) => n),
    );
    const urgent = await producer.queue.enqueue(Work, 1, { priority: 1 });
    const later = await producer.queue.enqueue(Work, 2, { delay: 60_000 });
    expect(await admin.drain('work', { reason: 'called off', by: 'ops' })).toEqual({ cancelled: 1_205 });
    for (const { id } of [waiting[0]!, waiting[1_202]!, urgent, later]) {
      const job = await producer.queue.getJob(id);
      expect(job).toMatchObject({ state: 'cancelled', attempt: 0 });
      expect(job?.errors.map(({ error }) => error)).toEqual(['the queue was drained by ops: called off']);
    }
    expect((await producer.queue.getJob(foreign))?.state).toBe('scheduled');
    expect(await admin.drain('work')).toEqual({ cancelled: 0 });
    const { rows } = await database.query("SELECT 1 FROM awa.runtime_instances WHERE queues = '{}'");
    expect(rows).toEqual([]);
    // It is still paused, and works on when resumed.
    expect((await admin.getQueue('work')).pausedAt).toBeDefined();
    await admin.resume('work');
    await apps.start({
      queues: QUEUES,
      handlers: [handlerOf(Work, () => undefined), handlerOf(Other, () => undefined)],
    });
    const { id } = await producer.queue.enqueue(Work, 3);
    await jobIn('completed', producer.queue, id);
  });

  it('drains a hot queue past the slots of its claimers, and leaves what runs', async () => {
    const running = deferred();
    const finish = deferred();
    await apps.start({
      queues: { work: { maxWorkers: 1 } },
      handlers: [
        handlerOf(Work, async () => {
          running.resolve();
          await finish.promise;
        }),
      ],
    });
    const { id } = await producer.queue.enqueue(Work, 1);
    await running.promise;
    await claimersOf(database).freeze('work', { target: 1, hot: true });
    await database.query(
      `INSERT INTO awa.queue_claimer_leases (queue, claimer_slot, owner_instance_id, last_claimed_at, expires_at)
       VALUES ('work', 0, gen_random_uuid(), clock_timestamp() + interval '1 hour', clock_timestamp() + interval '1 hour')`,
    );
    await producer.queue.enqueueMany(Work, [2, 3, 4]);
    expect(await admin.drain('work')).toEqual({ cancelled: 3 });
    finish.resolve();
    await jobIn('completed', producer.queue, id);
    await claimersOf(database).freeze('work', { target: 1, hot: false });
  });

  it('refuses what it cannot do with an error that says why', async () => {
    for (const call of [
      () => admin.pause('nope'),
      () => admin.resume('nope'),
      () => admin.drain('nope'),
      () => admin.getQueue('nope'),
    ]) {
      await expect(call()).rejects.toBeInstanceOf(UnknownQueueError);
    }
    await expect(admin.pause('work', { reason: '', by: 7 as never })).rejects.toMatchObject({
      problems: [expect.stringContaining('by must be a string'), expect.stringContaining('reason must be')],
    });
    await expect(admin.pause('work', { because: 'x' } as never)).rejects.toThrow(/no option "because"/);
    expect((await admin.getQueue('work')).pausedAt).toBeUndefined();
  });
});
