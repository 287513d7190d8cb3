import { defineJob } from 'nestjs-awa';
import { afterEach, describe, expect, it, vi } from 'vitest';

import type { ClaimedJob } from '../../lib/storage/operations/claim-jobs.js';
import { closedAttempts } from '../../lib/storage/operations/closed-attempts.js';
import { completeAttempts, settleAttempts } from '../../lib/storage/operations/close-attempts.js';
import { enqueueJobs } from '../../lib/storage/operations/enqueue-jobs.js';
import { listRingSegments, pruneRing, rotateRing } from '../../lib/storage/operations/rings.js';
import type { SqlPort } from '../../lib/storage/sql-port.js';
import { Attempt } from '../../lib/worker/attempt.js';
import { Canceller } from '../../lib/worker/canceller.js';
import { deferred, until } from '../support/signals.js';
import {
  claimJobs,
  newJob,
  openPort,
  registerTestInstance,
  registerTestQueue,
  SCHEMA,
} from '../support/storage-fixture.js';
import { handlerOf, type TestApp, useTestApps } from '../support/test-app.js';
import { useTestDatabase } from '../support/test-database.js';

const Work = defineJob<number, 'work'>('work', { retry: { baseMs: 60_000 } });

describe('the signal of a running attempt', () => {
  const database = useTestDatabase();
  const apps = useTestApps(database);

  interface Running {
    readonly id: string;
    readonly producer: TestApp;
    /** The reason of the abort. */
    readonly aborted: Promise<unknown>;
  }

  async function run(): Promise<Running> {
    const producer = await apps.start({ worker: false });
    const [started, aborted] = [deferred(), deferred<unknown>()];
    await apps.start({
      handlers: [
        handlerOf(Work, async (_, { signal }) => {
          started.resolve();
          await new Promise<void>((resolve) => {
            signal.addEventListener('abort', () => {
              aborted.resolve(signal.reason);
              resolve();
            });
          });
        }),
      ],
    });
    const { id } = await producer.queue.enqueue(Work, 1);
    await started.promise;
    return { id, producer, aborted: aborted.promise };
  }

  /** Listeners that wait for notifications, by process id. */
  async function listeners(): Promise<number[]> {
    const { rows } = await database.query<{ pid: number }>(
      `SELECT pid FROM pg_stat_activity
       WHERE datname = current_database() AND application_name = 'awa listener' AND state = 'idle'`,
    );
    return rows.map(({ pid }) => pid);
  }

  it('is aborted within a second when another process cancels the job', async () => {
    const { id, producer, aborted } = await run();
    await until(async () => (await listeners()).length === 1, { what: 'the worker listening' });
    // It is told: looking for itself would not help it.
    await database.query('ALTER FUNCTION awa.closed_attempts RENAME TO closed_attempts_away');
    try {
      const cancelledAt = performance.now();
      await producer.queue.cancelJob(id);
      expect(await aborted).toMatchObject({ name: 'AbortError', message: 'The job was cancelled.' });
      expect(performance.now() - cancelledAt).toBeLessThan(1_000);
    } finally {
      await database.query('ALTER FUNCTION awa.closed_attempts_away RENAME TO closed_attempts');
    }
  });

  it('is aborted in the end when the attempt was ended in another way, which nobody announces', async () => {
    const { id, producer, aborted } = await run();
    await database.query(
      `SELECT t.* FROM awa.lease_claims c, awa.settle_attempts(ARRAY[c.lane_id], ARRAY[c.claim_seq], ARRAY[1::smallint], c.job_ids,
         c.run_leases, '{timed_out}', '{late}', '{NULL}') t WHERE $1::bigint = ANY (c.job_ids)`,
      [id],
    );
    expect(await aborted).toMatchObject({ code: 'AWA_STALE_ATTEMPT', jobId: id });
    expect(await producer.queue.getJob(id)).toMatchObject({ state: 'retryable' });
  });
});

describe('a process that no notification reaches', () => {
  const database = useTestDatabase();
  let canceller: Canceller | undefined;

  afterEach(async () => canceller?.stop());

  it('finds within a second which of its attempts others have ended', async () => {
    const port = await openPort(database);
    const instanceId = await registerTestInstance(port);
    const queue = await registerTestQueue(port);
    await enqueueJobs(port, SCHEMA, [newJob(queue), newJob(queue), newJob(queue)]);
    const jobs = await claimJobs(port, SCHEMA, instanceId, [{ queue, limit: 3 }]);
    const sink = { changed: () => undefined, forget: () => undefined };
    const attempts = jobs.map((job) => new Attempt(job, sink, async () => undefined));
    const signals = attempts.map(({ context }) => context.signal);
    const heard: string[] = [];
    canceller = new Canceller(port, SCHEMA, {
      attempts: () => attempts,
      isListening: () => false,
      onCancelled: ({ jobId }) => heard.push(jobId),
    });
    canceller.start();
    const endedAt = performance.now();
    await settleAttempts(
      await openPort(database),
      SCHEMA,
      (['cancelled', 'error'] as const).flatMap((outcome, index) => {
        const job = jobs[index];
        return job === undefined ? [] : [{ job, outcome, error: 'because', delayMs: undefined }];
      }),
    );
    await until(async () => signals.filter(({ aborted }) => aborted).length === 2, { what: 'two aborts' });
    expect(performance.now() - endedAt).toBeLessThan(1_000);
    expect(signals.map(({ reason }) => reason as unknown)).toEqual([
      expect.objectContaining({ name: 'AbortError', message: 'The job was cancelled.' }),
      expect.objectContaining({ code: 'AWA_STALE_ATTEMPT' }),
      undefined,
    ]);
    expect(heard).toEqual([jobs[0]?.jobId]);
  });
});

describe('a process that notifications reach', () => {
  afterEach(() => vi.useRealTimers());

  it('looks every ten seconds all the same, and asks nothing while nothing runs', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    let looks = 0;
    const port: SqlPort = {
      query: async <Row>() => {
        looks += 1;
        return [] as Row[];
      },
    };
    const sink = { changed: () => undefined, forget: () => undefined };
    const job = { jobId: '1', runLease: 1, claim: { laneId: 1, claimSeq: '1' }, item: 1 } as ClaimedJob;
    const attempts = [new Attempt(job, sink, async () => undefined)];
    const canceller = new Canceller(port, SCHEMA, {
      attempts: () => attempts,
      isListening: () => true,
      onCancelled: () => undefined,
    });
    canceller.start();
    await vi.advanceTimersByTimeAsync(9_900);
    expect(looks).toBe(0);
    await vi.advanceTimersByTimeAsync(700);
    expect(looks).toBe(1);
    attempts.length = 0;
    await vi.advanceTimersByTimeAsync(30_000);
    expect(looks).toBe(1);
    await canceller.stop();
  });
});

describe('closed attempts', () => {
  const database = useTestDatabase();

  it('are told with what became of their jobs, also when their claims have moved or are gone', async () => {
    const port = await openPort(database);
    const instanceId = await registerTestInstance(port);
    const queue = await registerTestQueue(port);
    const claim = async () => {
      await enqueueJobs(port, SCHEMA, [newJob(queue), newJob(queue), newJob(queue)]);
      return claimJobs(port, SCHEMA, instanceId, [{ queue, limit: 3 }]);
    };
    const [ended, mixed] = [await claim(), await claim()];
    const [cancelled, done, open] = mixed;
    if (cancelled === undefined || done === undefined || open === undefined) throw new Error('no jobs');
    await completeAttempts(port, SCHEMA, [...ended, done]);
    await settleAttempts(port, SCHEMA, [
      { job: cancelled, outcome: 'cancelled', error: 'no', delayMs: undefined },
    ]);
    const outcomes = async () =>
      (await closedAttempts(port, SCHEMA, [...ended, ...mixed])).map(({ job, outcome }) => [job, outcome]);
    const expected = [
      [cancelled, 'cancelled'],
      [done, 'completed'],
    ];
    expect(await outcomes()).toEqual([...ended.map((job) => [job, 'completed']), ...expected]);

    const claimSegments = async () =>
      (await listRingSegments(port, SCHEMA)).filter(({ ring }) => ring === 'claim');
    const [first] = await claimSegments();
    if (first === undefined) throw new Error('no segment');
    await rotateRing(port, SCHEMA, first);
    expect(await pruneRing(port, SCHEMA, first, 0)).toBeUndefined();
    expect(await outcomes()).toEqual([...ended.map((job) => [job, 'gone']), ...expected]);
  });
});
