import { randomUUID } from 'node:crypto';

import { defineJob } from 'nestjs-awa';
import { describe, expect, it } from 'vitest';

import { RescueTask } from '../../lib/maintenance/rescue.task.js';
import { PgAdapter } from '../../lib/storage/adapters/pg.adapter.js';
import { schemaName } from '../../lib/storage/schema-name.js';
import { jobCounts } from '../support/job-counts.js';
import { useTestApps } from '../support/test-app.js';
import { useTestDatabase } from '../support/test-database.js';

const Work = defineJob<number, 'work'>('work');

describe('the rescue of a dead process', () => {
  const database = useTestDatabase();
  const apps = useTestApps(database);

  it('takes all it held in one go, however many claims that was', async () => {
    const { queue } = await apps.start({ worker: false });
    await queue.enqueueMany(
      Work,
      Array.from({ length: 150 }, (_, n) => n),
    );
    const dead = randomUUID();
    await database.query(
      `INSERT INTO awa.runtime_instances (instance_id, hostname, pid, version, queues, heartbeat_at, stale_after)
       VALUES ($1, 'elsewhere', 1, '0', '{default}', now() - interval '1 day', '1 hour')`,
      [dead],
    );
    // One claim a job, as a worker makes them when its jobs end one by one.
    for (let claim = 0; claim < 150; claim++) {
      await database.query("SELECT FROM awa.claim_jobs($1, '{default}', '{1}')", [dead]);
    }
    await database.query('DELETE FROM awa.runtime_instances WHERE instance_id = $1', [dead]);

    const observer = { instanceId: randomUUID(), contactMs: 0 };
    await new RescueTask(new PgAdapter(await database.client()), schemaName(), 1_000, observer).run();
    expect(await jobCounts(queue, 'default')).toMatchObject({ running: 0, retryable: 150 });
  });
});
