import { randomUUID } from 'node:crypto';
import { defineJob } from 'nestjs-awa';
import { describe, expect, it } from 'vitest';
import { completeAttempts } from '../../lib/storage/operations/close-attempts.js';
import { enqueueJobs } from '../../lib/storage/operations/enqueue-jobs.js';
import { claimersOf } from '../support/claimer-state.js';
import {
  claimJobs,
  newJob,
  openPort,
  registerTestInstance,
  registerTestQueue,
  SCHEMA,
} from '../support/storage-fixture.js';
import { handlerOf, jobIn, useTestApps } from '../support/test-app.js';
import { useTestDatabase } from '../support/test-database.js';

const JOBS = 4_000;
const PRODUCERS = 4;
const INSTANCES = 8;

const Beat = defineJob<string, 'beat'>('beat');

describe('competing claimers', () => {
  const database = useTestDatabase();
  const claimers = claimersOf(database);

  it(
    'eight instances claim every job of a hot queue once, and never hold more slots than the most',
    { timeout: 120_000 },
    async () => {
      const port = await openPort(database);
      const queue = await registerTestQueue(port);
      await database.query(
        `UPDATE awa.queue_claimer_state SET hot = true, refreshed_at = clock_timestamp() WHERE queue = $1`,
        [queue],
      );
      const enqueued: string[] = [];
      const claimed: string[] = [];
      const producers = Array.from({ length: PRODUCERS }, async () => {
        const own = await openPort(database);
        for (let batch = 0; batch < JOBS / PRODUCERS / 10; batch++) {
          enqueued.push(
            ...(await enqueueJobs(
              own,
              SCHEMA,
              Array.from({ length: 10 }, () => newJob(queue)),
            )),
          );
        }
      });
      const workers = Array.from({ length: INSTANCES }, async (_, worker) => {
        const own = await openPort(database);
        const instanceId = await registerTestInstance(own, undefined, [queue]);
        while (claimed.length < JOBS) {
          const jobs = await claimJobs(own, SCHEMA, instanceId, [{ queue, limit: 1 + worker * 3 }]);
          claimed.push(...jobs.map(({ jobId }) => jobId));
          expect(await completeAttempts(own, SCHEMA, jobs)).toEqual([]);
        }
      });
      await Promise.all([...producers, ...workers]);
      expect(claimed).toHaveLength(JOBS);
      expect(new Set(claimed)).toEqual(new Set(enqueued));
      const leases = await claimers.leases(queue);
      expect(leases.length).toBeGreaterThan(0);
      expect(leases.length).toBeLessThanOrEqual(4);
    },
  );
});

describe('a claimer that dies', () => {
  const database = useTestDatabase();
  const apps = useTestApps(database);
  const claimers = claimersOf(database);

  it('delays nothing beyond the time to live of its slot', async () => {
    const { queue } = await apps.start({ handlers: [handlerOf(Beat, () => undefined)] });
    await claimers.freeze('default', { target: 1, hot: true });
    await database.query(
      `INSERT INTO awa.queue_claimer_leases (queue, claimer_slot, owner_instance_id, last_claimed_at, expires_at)
       VALUES ('default', 0, $1, clock_timestamp(), clock_timestamp() + interval '3 s')`,
      [randomUUID()],
    );
    const { id } = await queue.enqueue(Beat, 'after it');
    const { attemptedAt, createdAt } = await jobIn('completed', queue, id);
    const waited = (attemptedAt?.getTime() ?? 0) - createdAt.getTime();
    expect(waited).toBeLessThan(3_000);
    expect(await claimers.leases('default')).toMatchObject([{ slot: 0, epoch: 2 }]);
  });
});
