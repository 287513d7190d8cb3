import { beforeEach, describe, expect, it } from 'vitest';
import { completeAttempts } from '../../lib/storage/operations/close-attempts.js';
import { enqueueJobs } from '../../lib/storage/operations/enqueue-jobs.js';
import { getJob } from '../../lib/storage/operations/get-job.js';
import { registerQueues } from '../../lib/storage/operations/queues.js';
import type { SqlPort } from '../../lib/storage/sql-port.js';
import { claimJobs, newJob, openLane, SCHEMA } from '../support/storage-fixture.js';
import { useTestDatabase } from '../support/test-database.js';

const database = useTestDatabase();

let port: SqlPort;
let queue: string;
let instanceId: string;

beforeEach(async () => {
  ({ port, queue, instanceId } = await openLane(database));
});

/** Jobs that have waited for so many seconds. */
const waiting = (priority: number, seconds: number, count = 1) =>
  enqueueJobs(
    port,
    SCHEMA,
    Array.from({ length: count }, () =>
      newJob(queue, { priority, runAt: seconds === 0 ? undefined : new Date(Date.now() - seconds * 1_000) }),
    ),
  );

const claim = async (limit = 1) =>
  (await claimJobs(port, SCHEMA, instanceId, [{ queue, limit }])).map(({ jobId }) => jobId);

describe('priority aging', () => {
  it.each([
    [2, 60],
    [3, 120],
    [4, 180],
  ])(
    'makes a job of priority %i as urgent as any after %i seconds, and not before',
    async (priority, seconds) => {
      const [fresh] = await waiting(1, 0);
      const [young] = await waiting(priority, seconds - 5);
      expect(await claim()).toEqual([fresh]);
      expect(await claim()).toEqual([young]);
      const [urgent] = await waiting(1, 0);
      const [old] = await waiting(priority, seconds + 1);
      expect(await claim()).toEqual([old]);
      expect(await claim()).toEqual([urgent]);
    },
  );

  it('goes step by step', async () => {
    const [second] = await waiting(2, 0);
    const [third] = await waiting(3, 0);
    const [old] = await waiting(4, 125);
    // 4 has become 2, and waits longest of them.
    expect([await claim(), await claim(), await claim()]).toEqual([[old], [second], [third]]);
  });

  it('prefers of equally urgent jobs the one that waits longest', async () => {
    const [older] = await waiting(1, 500);
    const [old] = await waiting(4, 400);
    const [young] = await waiting(1, 0);
    expect(await claim()).toEqual([older]);
    expect(await claim()).toEqual([old]);
    expect(await claim()).toEqual([young]);
  });

  it('does not take fresh jobs along with an old one past more urgent jobs', async () => {
    const [old] = await waiting(4, 181);
    const fresh = await waiting(4, 0, 5);
    const urgent = await waiting(1, 0, 5);
    expect(await claim(20)).toEqual([old, ...urgent, ...fresh]);
  });

  it('fills a claim from one lane whatever the ages in it', async () => {
    const mixed = [...(await waiting(3, 200, 2)), ...(await waiting(3, 0, 2)), ...(await waiting(3, 100, 2))];
    expect(await claim(6)).toEqual(mixed);
  });

  it('follows the setting of the queue, and is off with 0', async () => {
    await registerQueues(port, SCHEMA, [{ name: queue, agingMs: 1_000 }]);
    const [urgent] = await waiting(1, 0);
    const [old] = await waiting(4, 4);
    expect(await claim()).toEqual([old]);
    expect(await claim()).toEqual([urgent]);
    await registerQueues(port, SCHEMA, [{ name: queue, agingMs: 0 }]);
    const [never] = await waiting(4, 1_000_000);
    const [first] = await waiting(1, 0);
    expect(await claim()).toEqual([first]);
    // A process that does not say leaves it as it is.
    await registerQueues(port, SCHEMA, [queue]);
    const [again] = await waiting(2, 0);
    expect(await claim()).toEqual([again]);
    expect(await claim()).toEqual([never]);
  });

  it('changes nothing of the job', async () => {
    const [old] = await waiting(4, 1_000);
    const [job] = await claimJobs(port, SCHEMA, instanceId, [{ queue, limit: 1 }]);
    expect(job).toMatchObject({ jobId: old, priority: 4 });
    expect(await completeAttempts(port, SCHEMA, [job!])).toEqual([]);
    expect(await getJob(port, SCHEMA, old!)).toMatchObject({ state: 'completed', priority: 4 });
  });

  /*
   * The bound of docs/queues.md: from (priority - 1) aging steps on, nothing that was enqueued later starts before a job, except
   * what is in a claim already. Each round brings more priority 1 than the claims of the round take.
   */
  it(
    'starts the lowest priority within its bound under a flood of priority 1',
    { timeout: 60_000 },
    async () => {
      const [low] = await waiting(4, 0);
      const pass = (seconds: number) =>
        database.query(
          `UPDATE awa.ready_entries SET run_at = run_at - $1::int * interval '1 second'
         WHERE lane_id IN (SELECT lane_id FROM awa.queue_lanes WHERE queue = $2)`,
          [seconds, queue],
        );
      let startedAt: number | undefined;
      let floodBefore = 0;
      for (let seconds = 0; seconds <= 240 && startedAt === undefined; seconds += 10) {
        if (seconds <= 180) floodBefore += (await waiting(1, 0, 20)).length;
        else await waiting(1, 0, 20);
        const claimed = await claim(10);
        if (claimed.includes(low!)) startedAt = seconds;
        await pass(10);
      }
      // At equal urgency the flood that is older goes first: none of what came after the job has overtaken it since.
      expect(floodBefore).toBeGreaterThan(0);
      expect(startedAt).toBe(180);
    },
  );
});
