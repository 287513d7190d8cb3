import { defineJob, InvalidOptionsError, QueueAdminService } from 'nestjs-awa';
import { describe, expect, it } from 'vitest';
import { useTestApps } from '../support/test-app.js';
import { useTestDatabase } from '../support/test-database.js';

const Work = defineJob<number, 'work'>('work', { queue: 'work' });

describe('settings of queues', () => {
  const database = useTestDatabase();
  const apps = useTestApps(database);

  it('are stored for all processes, and stay when a process leaves them out', async () => {
    await apps.start({ queues: { work: {} }, worker: false });
    const { app } = await apps.start({
      queues: { work: { aging: 5_000, shards: 3 }, plain: {} },
      maxClaimers: 9,
      worker: false,
    });
    const admin = app.get(QueueAdminService);
    expect(await admin.getQueue('work')).toMatchObject({ aging: 5_000, shards: 3, maxClaimers: 9 });
    expect(await admin.getQueue('plain')).toMatchObject({ aging: 60_000, shards: 1, maxClaimers: 9 });
    await apps.start({ queues: { work: {}, plain: { aging: 0 } }, worker: false });
    expect(await admin.getQueue('work')).toMatchObject({ aging: 5_000, shards: 3, maxClaimers: 9 });
    expect(await admin.getQueue('plain')).toMatchObject({ aging: 0 });
  });

  it('takes an ordering key with an enqueue, and refuses one that is none', async () => {
    const { queue } = await apps.start({ queues: { work: { shards: 16 } }, worker: false });
    const jobs = [
      ...(await queue.enqueueMany(Work, [1, 2], { orderingKey: 'customer-42' })),
      await queue.enqueue(Work, 3, { orderingKey: 'customer-42' }),
    ];
    const { rows } = await database.query(
      'SELECT DISTINCT lane_id FROM awa.ready_entries WHERE job_id = ANY ($1::bigint[])',
      [jobs.map(({ id }) => id)],
    );
    expect(rows).toHaveLength(1);
    await expect(queue.enqueue(Work, 4, { orderingKey: '' })).rejects.toThrow(
      /orderingKey must not be empty/,
    );
    await expect(queue.enqueue(Work, 4, { orderingKey: 7 as never })).rejects.toBeInstanceOf(
      InvalidOptionsError,
    );
  });

  it('are checked at boot, all at once', async () => {
    const start = apps.start({
      queues: { work: { aging: 10, shards: 65 }, other: { aging: Number.NaN, shards: 0 } },
      maxClaimers: 65,
    });
    await expect(start).rejects.toMatchObject({
      problems: [
        expect.stringContaining('maxClaimers must be a whole number from 1 to 64'),
        expect.stringContaining('queues.work.aging must be'),
        expect.stringContaining('queues.work.shards must be a whole number from 1 to 64'),
        expect.stringContaining('queues.other.aging must be'),
        expect.stringContaining('queues.other.shards must be'),
      ],
    });
  });
});
