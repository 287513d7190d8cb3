import { beforeEach, describe, expect, it } from 'vitest';
import { settleAttempts } from '../../lib/storage/operations/close-attempts.js';
import { listDeadLetters } from '../../lib/storage/operations/dead-letters.js';
import { enqueueJobs } from '../../lib/storage/operations/enqueue-jobs.js';
import { getJob } from '../../lib/storage/operations/get-job.js';
import { rescueAttempts } from '../../lib/storage/operations/instances.js';
import { purgeDeadLetters } from '../../lib/storage/operations/purge-dead-letters.js';
import { registerQueues } from '../../lib/storage/operations/queues.js';
import type { SqlPort } from '../../lib/storage/sql-port.js';
import {
  claimJobs,
  newJob,
  openLane,
  registerTestInstance,
  registerTestQueue,
  SCHEMA,
} from '../support/storage-fixture.js';
import { useTestDatabase } from '../support/test-database.js';
import { DAY_MS, settleNew } from './dead-letter-fixture.js';

const database = useTestDatabase();

let port: SqlPort;
let queue: string;
let instanceId: string;

beforeEach(async () => {
  ({ port, queue, instanceId } = await openLane(database, { deadLetterMs: 30 * DAY_MS }));
});

const entries = async () =>
  (await listDeadLetters(port, SCHEMA, { queue }, { after: undefined, limit: 100 })).items;
const inDone = async (id: string) =>
  (await database.query('SELECT FROM awa.done_entries WHERE job_id = $1', [id])).rowCount;

describe('a queue with dead letters', () => {
  it.each([
    ['failed', {}, 'terminal_error', 1],
    ['invalid', {}, 'invalid_args', 0],
    ['error', { maxAttempts: 1 }, 'max_attempts_exhausted', 1],
    ['timed_out', { maxAttempts: 1 }, 'timed_out', 1],
  ] as const)('holds what ends as %s', async (outcome, overrides, reason, attempt) => {
    const [id] = (await settleNew(port, instanceId, queue, 1, outcome, overrides)) as [string];
    expect(await entries()).toMatchObject([{ jobId: id, reason, attempt, runLease: 1, state: 'failed' }]);
    expect(await inDone(id)).toBe(0);
    const job = await getJob(port, SCHEMA, id);
    expect(job).toMatchObject({ state: 'failed', deadLetter: true, attempt, runLease: 1 });
    expect(job!.finalizedAt).toBeInstanceOf(Date);
    expect(JSON.parse(job!.payloadJson!)).toMatchObject({ errors: [{ error: 'why', terminal: true }] });
  });

  it.each([
    ['error', 'retryable'],
    ['cancelled', 'cancelled'],
    ['snoozed', 'scheduled'],
    ['released', 'available'],
  ] as const)('does not hold what ends as %s', async (outcome, state) => {
    const [id] = (await settleNew(port, instanceId, queue, 1, outcome)) as [string];
    expect(await entries()).toEqual([]);
    expect(await getJob(port, SCHEMA, id)).toMatchObject({ state, deadLetter: false });
  });

  it('holds a job whose last attempt died with its process, and only such a one', async () => {
    const dying = await registerTestInstance(port, 300);
    const [last, other] = await enqueueJobs(port, SCHEMA, [newJob(queue, { maxAttempts: 1 }), newJob(queue)]);
    await claimJobs(port, SCHEMA, dying, [{ queue, limit: 2 }]);
    await database.query(
      `UPDATE awa.runtime_instances SET heartbeat_at = clock_timestamp() - interval '1 day',
         stale_after = interval '0 ms' WHERE instance_id = $1`,
      [dying],
    );
    expect(await rescueAttempts(port, SCHEMA, instanceId, 3_600_000, 10)).toBe(2);
    expect(await entries()).toMatchObject([{ jobId: last, reason: 'worker_lost' }]);
    expect(await getJob(port, SCHEMA, other!)).toMatchObject({ state: 'retryable', deadLetter: false });
  });

  it('decides job by job in one flush, and names the reason of each', async () => {
    const plain = await registerTestQueue(port);
    const [dead, failed] = (await enqueueJobs(port, SCHEMA, [newJob(queue), newJob(plain)])) as [
      string,
      string,
    ];
    const jobs = await claimJobs(port, SCHEMA, instanceId, [
      { queue, limit: 1 },
      { queue: plain, limit: 1 },
    ]);
    const settlements = jobs.map((job) => ({ job, outcome: 'failed' as const, error: 'no', delayMs: 0 }));
    expect(await settleAttempts(port, SCHEMA, settlements)).toEqual(['failed', 'failed']);
    expect(await settleAttempts(port, SCHEMA, settlements)).toEqual([undefined, undefined]);
    expect(await getJob(port, SCHEMA, dead)).toMatchObject({ state: 'failed', deadLetter: true });
    expect(await getJob(port, SCHEMA, failed)).toMatchObject({ state: 'failed', deadLetter: false });
    expect([await inDone(dead), await inDone(failed)]).toEqual([0, 1]);
  });
});

describe('registering', () => {
  const retention = async () => {
    const { rows } = await database.query<{ ms: number | null }>(
      'SELECT extract(epoch FROM dead_letter_retention)::float8 * 1000 AS ms FROM awa.queues WHERE name = $1',
      [queue],
    );
    return rows[0]?.ms;
  };

  it('changes what a process says, and leaves what it does not say', async () => {
    queue = await registerTestQueue(port);
    expect(await retention()).toBeNull();
    const say = (ms: number) => registerQueues(port, SCHEMA, [{ name: queue, deadLetterMs: ms }]);
    await say(5_000);
    expect(await retention()).toBe(5_000);
    await registerQueues(port, SCHEMA, [queue]);
    expect(await retention()).toBe(5_000);
    await say(7_000);
    expect(await retention()).toBe(7_000);
    await say(0);
    expect(await retention()).toBeNull();
    const [id] = (await settleNew(port, instanceId, queue)) as [string];
    expect(await getJob(port, SCHEMA, id)).toMatchObject({ state: 'failed', deadLetter: false });
  });

  it('writes no row when nothing changes', async () => {
    const version = async () =>
      (await database.query('SELECT xmin::text FROM awa.queues WHERE name = $1', [queue])).rows;
    await registerQueues(port, SCHEMA, [{ name: queue, deadLetterMs: 1_000 }]);
    const before = await version();
    await registerQueues(port, SCHEMA, [{ name: queue, deadLetterMs: 1_000 }]);
    expect(await version()).toEqual(before);
  });
});

it('does not take a purged dead letter for a completed job', async () => {
  const [id] = (await settleNew(port, instanceId, queue)) as [string];
  expect(await purgeDeadLetters(port, SCHEMA, [id], true)).toEqual([id]);
  expect(await getJob(port, SCHEMA, id)).toBeUndefined();
});
