import { Logger, type LoggerService } from '@nestjs/common';
import { beforeEach, describe, expect, it } from 'vitest';
import { DeadlinesTask } from '../../lib/maintenance/deadlines.task.js';
import type { ClaimedJob } from '../../lib/storage/operations/claim-jobs.js';
import { completeAttempts } from '../../lib/storage/operations/close-attempts.js';
import { enqueueJobs } from '../../lib/storage/operations/enqueue-jobs.js';
import { getJob } from '../../lib/storage/operations/get-job.js';
import { settleOverdue } from '../../lib/storage/operations/settle-overdue.js';
import type { SqlPort } from '../../lib/storage/sql-port.js';
import {
  claimJobs,
  newJob,
  openPort,
  registerTestInstance,
  registerTestQueue,
  SCHEMA,
} from '../support/storage-fixture.js';
import { useTestDatabase } from '../support/test-database.js';

const database = useTestDatabase();
let port: SqlPort;
let queue: string;
let worker: string;

const HOURS = 36_000_000;
const GRACE = 50;

beforeEach(async () => {
  port = await openPort(database);
  queue = await registerTestQueue(port);
  worker = await registerTestInstance(port);
  await database.query('UPDATE awa.runtime_instances SET timeouts = $2 WHERE instance_id = $1', [
    worker,
    { kinds: { slow: 120_000, endless: 0 }, queues: { [queue]: 1_000 } },
  ]);
});

async function claimKinds(...kinds: string[]): Promise<ClaimedJob[]> {
  await enqueueJobs(
    port,
    SCHEMA,
    kinds.map((kind) => newJob(queue, { kind })),
  );
  const jobs = await claimJobs(port, SCHEMA, worker, [{ queue, limit: 100 }]);
  // A minute ago.
  await database.query(
    "UPDATE awa.lease_claims SET claimed_at = claimed_at - interval '1 minute' WHERE instance_id = $1 AND claimed_at > now() - interval '50 s'",
    [worker],
  );
  return [...jobs];
}

const settle = async (contactMs = HOURS, limit = 100) => settleOverdue(port, SCHEMA, contactMs, GRACE, limit);

const stateOf = async (job: ClaimedJob) => (await getJob(port, SCHEMA, job.jobId))?.state;

describe('attempts over their time', () => {
  it('are ended, with what their kind or else their queue allows, and no others', async () => {
    const [plain, slow, endless, done] = (await claimKinds('plain', 'slow', 'endless', 'plain')) as [
      ClaimedJob,
      ClaimedJob,
      ClaimedJob,
      ClaimedJob,
    ];
    await completeAttempts(port, SCHEMA, [done]);
    expect(await settle()).toMatchObject({ attempts: 1, refused: [] });
    expect(await Promise.all([plain, slow, endless, done].map(stateOf))).toEqual([
      'retryable',
      'running',
      'running',
      'completed',
    ]);
    const job = await getJob(port, SCHEMA, plain.jobId);
    expect(job).toMatchObject({ attempt: 1, runLease: 1 });
    expect(job?.payloadJson).toContain('did not end within its time-out of 1000 ms');
    expect(await settle()).toMatchObject({ attempts: 0, refused: [] });
    // Its process is late.
    expect(await completeAttempts(port, SCHEMA, [plain])).toEqual([plain]);
    expect(await completeAttempts(port, SCHEMA, [slow, endless])).toEqual([]);
  });

  it('are not, in a time in which their process may not have reached the server', async () => {
    const jobs = await claimKinds('plain');
    expect(await settle(GRACE - 1)).toMatchObject({ attempts: 0, refused: [] });
    expect(await completeAttempts(port, SCHEMA, jobs)).toEqual([]);
  });

  it('are not, of a process without time-outs', async () => {
    await database.query('UPDATE awa.runtime_instances SET timeouts = NULL WHERE instance_id = $1', [worker]);
    const jobs = await claimKinds('plain');
    expect(await settle()).toMatchObject({ attempts: 0, refused: [] });
    expect(await completeAttempts(port, SCHEMA, jobs)).toEqual([]);
  });

  it('are looked for half as often while no process has time-outs: nothing can be over its time sooner', async () => {
    let looks = 0;
    const counting: SqlPort = {
      query: (statement, parameters) => {
        looks += 1;
        return port.query(statement, parameters);
      },
    };
    const task = new DeadlinesTask(counting, SCHEMA, { contactMs: HOURS });
    const runs = async () => [await task.run(), await task.run(), await task.run()];
    expect(await runs()).toEqual([true, true, true]);
    await database.query('UPDATE awa.runtime_instances SET timeouts = NULL');
    expect(await runs()).toEqual([true, false, true]);
    task.begin();
    expect(await runs()).toEqual([true, false, true]);
    expect(looks).toBe(7);
  });

  it('are ended by a task, which tells of one that cannot be ended once', async () => {
    const logs: string[] = [];
    const write = (message: unknown) => logs.push(String(message));
    Logger.overrideLogger({ log: write, warn: write, error: write } satisfies LoggerService);
    const [damaged, other] = (await claimKinds('plain', 'plain')) as [ClaimedJob, ClaimedJob];
    await database.query(`UPDATE awa.ready_entries SET payload = '{"errors": 7}' WHERE job_id = $1`, [
      damaged.jobId,
    ]);
    const task = new DeadlinesTask(port, SCHEMA, { contactMs: HOURS }, GRACE);
    await task.run();
    await task.run();
    Logger.overrideLogger(false);
    expect(await stateOf(other)).toBe('retryable');
    expect(logs).toEqual([
      'ended 1 attempt(s) that were over their time',
      expect.stringContaining(`job ${damaged.jobId}: `),
    ]);
    // Not in the way of the next test.
    await database.query('DELETE FROM awa.runtime_instances WHERE instance_id = $1', [worker]);
  });

  it('are ended page by page, past those that cannot be and those that somebody else has locked', async () => {
    const jobs: ClaimedJob[] = [];
    for (let claim = 0; claim < 6; claim++) jobs.push(...(await claimKinds('plain')));
    const [damaged, locked] = jobs as [ClaimedJob, ClaimedJob];
    await database.query(`UPDATE awa.ready_entries SET payload = '{"errors": 7}' WHERE job_id = $1`, [
      damaged.jobId,
    ]);
    const closer = await database.client();
    await closer.query('BEGIN');
    await closer.query('SELECT FROM awa.lease_claims WHERE lane_id = $1 AND claim_seq = $2 FOR UPDATE', [
      locked.claim.laneId,
      locked.claim.claimSeq,
    ]);
    const { attempts, refused } = await settle(HOURS, 2);
    await closer.query('ROLLBACK');
    expect(attempts).toBe(4);
    expect(refused).toEqual([expect.stringContaining(`job ${damaged.jobId}: `)]);
    expect(await Promise.all(jobs.map(stateOf))).toEqual([
      'running',
      'running',
      ...Array.from({ length: 4 }, () => 'retryable'),
    ]);
  });
});
