import { setImmediate as nextTurn } from 'node:timers/promises';
import {
  defineJob,
  InvalidOptionsError,
  type Job,
  type JobContext,
  type JobDefinition,
  retryAfter,
  snooze,
  StaleAttemptError,
} from 'nestjs-awa';
import { beforeEach, describe, expect, it } from 'vitest';

import { FaultProxy } from '../support/fault-proxy.js';
import { jobCounts } from '../support/job-counts.js';
import { deferred, until } from '../support/signals.js';
import {
  failOnUnhandled,
  handlerOf,
  jobIn,
  type TestApp,
  type TestAppOptions,
  useTestApps,
} from '../support/test-app.js';
import { useTestDatabase } from '../support/test-database.js';

describe('progress and checkpoints', () => {
  failOnUnhandled();
  const database = useTestDatabase();
  const apps = useTestApps(database);
  let Work: JobDefinition<number, number>;
  let producer: TestApp;
  let tests = 0;

  beforeEach(async () => {
    // A queue of its own for each test.
    const queue = `test ${++tests}`;
    Work = defineJob<number>('work', { queue, retry: { baseMs: 0 } });
    producer = await apps.start({ worker: false, queues: { [queue]: {} } });
    await database.query(`
      DELETE FROM awa.attempt_state;
      CREATE TABLE IF NOT EXISTS saves (attempts int);
      TRUNCATE saves;
      CREATE OR REPLACE FUNCTION count_save() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN INSERT INTO public.saves SELECT count(*) FROM new_rows; RETURN NULL; END $$;
      CREATE OR REPLACE TRIGGER inserts AFTER INSERT ON awa.attempt_state REFERENCING NEW TABLE AS new_rows
        FOR EACH STATEMENT EXECUTE FUNCTION count_save();`);
  });

  async function start(
    handle: (job: Job<number>, context: JobContext) => unknown,
    options: TestAppOptions = {},
  ): Promise<TestApp> {
    return apps.start({ queues: { [Work.queue]: {} }, handlers: [handlerOf(Work, handle)], ...options });
  }

  /** How many attempts each statement has brought something new of. */
  async function saves(): Promise<number[]> {
    const { rows } = await database.query<{ attempts: number }>('SELECT attempts FROM saves');
    return rows.map(({ attempts }) => attempts);
  }

  async function rowCount(): Promise<number> {
    return (await database.query('SELECT FROM awa.attempt_state')).rowCount ?? Number.NaN;
  }

  it('let a failed attempt go on where it was, and are gone when the job is completed', async () => {
    const seen: unknown[] = [];
    const { queue } = await start(async ({ attempt, checkpoint, progress }, context) => {
      seen.push(checkpoint, progress);
      if (attempt === 2) return;
      await context.checkpoint({ next: 3, tags: ['é', null] });
      context.setProgress(30, 'three of ten');
      throw new Error('no luck');
    });
    const { id } = await queue.enqueue(Work, 1);
    const job = await jobIn('completed', queue, id);
    expect(seen).toEqual([
      null,
      null,
      { next: 3, tags: ['é', null] },
      { percent: 30, message: 'three of ten', updatedAt: expect.any(Date) },
    ]);
    expect(job).toMatchObject({ attempt: 2, progress: null, checkpoint: null });
    expect(await rowCount()).toBe(0);
  });

  it('can be read while the job runs', async () => {
    const [said, end] = [deferred(), deferred()];
    const { queue } = await start(async (_, { setProgress, flush }) => {
      setProgress(12.5, 'reading');
      await flush();
      said.resolve();
      await end.promise;
    });
    const { id } = await queue.enqueue(Work, 1);
    await said.promise;
    const job = await producer.queue.getJob(id);
    expect(job).toMatchObject({
      state: 'running',
      checkpoint: null,
      progress: { percent: 12.5, message: 'reading' },
    });
    expect(job?.progress?.updatedAt.getTime()).toBeGreaterThanOrEqual(
      job?.attemptedAt?.getTime() ?? Infinity,
    );
    end.resolve();
    await jobIn('completed', queue, id);
  });

  it('are stored by themselves, without a flush', async () => {
    const end = deferred();
    const { queue } = await start(async (_, { setProgress }) => {
      setProgress(1);
      await end.promise;
    });
    const { id } = await queue.enqueue(Work, 1);
    await until(async () => (await queue.getJob(id))?.progress?.percent === 1, { what: 'the progress' });
    end.resolve();
    expect(await jobIn('completed', queue, id)).toMatchObject({ attempt: 1 });
  });

  it.each([
    ['an error', 'retryable', () => Promise.reject(new Error('no luck'))],
    ['a retry', 'retryable', () => retryAfter(60_000)],
    ['a snooze', 'scheduled', () => snooze(60_000)],
  ] as const)('that were said right before %s are kept', async (_, state, end) => {
    Work = defineJob<number>('work', { queue: Work.queue, retry: { baseMs: 60_000 } });
    const { queue } = await start(async (_job, { setProgress }) => {
      setProgress(70, 'almost');
      return end();
    });
    const { id } = await queue.enqueue(Work, 1);
    expect(await jobIn(state, queue, id)).toMatchObject({ progress: { percent: 70, message: 'almost' } });
    expect(await rowCount()).toBe(0);
  });

  it('cost few writes, however often progress is said', async () => {
    const { queue } = await start(async (_, { setProgress, flush }) => {
      for (let n = 1; n <= 1000; n++) {
        setProgress(n / 10, `page ${n}`);
        // Time enough for a write, each time.
        if (n % 10 === 0) await database.query('SELECT 1');
      }
      await flush();
      const { rows } = await database.query('SELECT progress, message FROM awa.attempt_state');
      expect(rows).toEqual([{ progress: 100, message: 'page 1000' }]);
    });
    const { id } = await queue.enqueue(Work, 1);
    expect(await jobIn('completed', queue, id)).toMatchObject({ attempt: 1 });
    // One for each half second, and the flush.
    expect((await saves()).length).toBeLessThanOrEqual(5);
    expect((await saves()).length).toBeGreaterThanOrEqual(1);
  });

  it('of many attempts share a statement', async () => {
    const end = deferred();
    const { queue } = await start(async (_, { setProgress }) => {
      setProgress(5);
      await end.promise;
    });
    await queue.enqueueMany(
      Work,
      Array.from({ length: 40 }, (_, n) => n),
    );
    await until(async () => (await rowCount()) === 40, { what: 'the progress of all' });
    expect((await saves()).length).toBeLessThanOrEqual(3);
    end.resolve();
    await until(async () => (await jobCounts(queue, Work.queue)).completed === 40, { what: 'the end' });
    expect(await rowCount()).toBe(0);
  });

  it('that are said right before a success cost nothing', async () => {
    const { queue } = await start((_, { setProgress }) => setProgress(100));
    const { id } = await queue.enqueue(Work, 1);
    await jobIn('completed', queue, id);
    const { id: last } = await queue.enqueue(Work, 2);
    await jobIn('completed', queue, last);
    expect(await saves()).toEqual([]);
  });

  it('are refused at once when they cannot be stored, and nothing is written', async () => {
    const errors: unknown[] = [];
    const attempt = (call: () => unknown) => {
      try {
        void call();
      } catch (error) {
        errors.push(error);
      }
    };
    const { queue } = await start(async (_, { setProgress, checkpoint, flush }) => {
      for (const percent of [-0.1, 100.1, Number.NaN, Infinity, '5' as never])
        attempt(() => setProgress(percent));
      for (const message of ['a\0b', 'x'.repeat(1001), 7 as never]) attempt(() => setProgress(1, message));
      const values = [undefined, new Map(), 'x'.repeat(65_536), 'a\0b', '\ud83d', Number.NaN, { n: 1n }];
      for (const value of values) attempt(() => checkpoint(value as unknown));
      await flush();
    });
    const { id } = await queue.enqueue(Work, 1);
    expect(await jobIn('completed', queue, id)).toMatchObject({ attempt: 1 });
    expect(errors).toHaveLength(15);
    for (const error of errors) expect(error).toBeInstanceOf(InvalidOptionsError);
    expect(String(errors[0])).toContain('percent must be a number from 0 to 100, not -0.1');
    expect(String(errors[10])).toContain('at most 65536 bytes');
    expect(await saves()).toEqual([]);
  });

  it('take all that JSON and the limits allow', async () => {
    const values = [
      0,
      '',
      false,
      [],
      'x'.repeat(65_534),
      { '😀': [1e308, 5e-324, -1, { a: null }] },
      '\\u0000',
    ];
    const { queue } = await start(async (job, { setProgress, checkpoint }) => {
      setProgress(0, 'ü'.repeat(1000));
      await checkpoint(values[job.args]);
      const read = await queue.getJob(job.id);
      expect(read).toMatchObject({ progress: { percent: 0, message: 'ü'.repeat(1000) } });
      expect(read?.checkpoint).toEqual(values[job.args]);
    });
    for (const { id } of await queue.enqueueMany(Work, [...values.keys()]))
      expect(await jobIn('completed', queue, id)).toMatchObject({ attempt: 1 });
  });

  it('of an attempt that is over are refused: the handler hears of it, and its result does not count', async () => {
    const [started, cancelled] = [deferred(), deferred()];
    const results: unknown[] = [];
    const { queue } = await start(async (_, { signal, setProgress, checkpoint, flush }) => {
      await checkpoint(1);
      started.resolve();
      await cancelled.promise;
      setProgress(50);
      // Not waited for: no reason to end the process.
      void flush();
      results.push(await checkpoint(2).catch((error: unknown) => error), signal.aborted);
      setProgress(60);
      results.push(await flush().catch((error: unknown) => error));
    });
    const { id } = await queue.enqueue(Work, 1);
    await started.promise;
    await producer.queue.cancelJob(id);
    cancelled.resolve();
    await until(async () => results.length === 3, { what: 'the end of the handler' });
    const stale = expect.any(StaleAttemptError) as unknown;
    expect(results).toEqual([stale, true, stale]);
    expect(results[0]).toMatchObject({ jobId: id, runLease: 1 });
    expect(await queue.getJob(id)).toMatchObject({ state: 'cancelled', checkpoint: 1, progress: null });
    expect(await rowCount()).toBe(0);
  });

  it('abort the signal when they are refused, with nobody else to do it', async () => {
    const [started, taken] = [deferred(), deferred()];
    const reasons: unknown[] = [];
    const { queue } = await start(async ({ attempt }, { signal, checkpoint }) => {
      if (attempt > 1) return;
      started.resolve();
      await taken.promise;
      await checkpoint(2).catch(() => reasons.push(signal.reason));
    });
    const { id } = await queue.enqueue(Work, 1);
    await started.promise;
    // As a rescue would.
    await database.query(
      `SELECT awa.settle_attempts(ARRAY[j.lane_id], ARRAY[j.claim_seq], ARRAY[j.item], ARRAY[j.job_id], ARRAY[j.run_lease + 1],
         ARRAY['error'], ARRAY['gone'], ARRAY[0::float8]) FROM awa.live_ready($1) j`,
      [id],
    );
    taken.resolve();
    expect(await jobIn('completed', queue, id)).toMatchObject({ attempt: 2 });
    expect(reasons).toEqual([expect.any(StaleAttemptError)]);
  });

  it('of a handler that runs on after its end are not heard', async () => {
    const late = deferred<unknown>();
    const go = deferred();
    const { queue } = await start((_, { setProgress, checkpoint }) => {
      void go.promise.then(async () => {
        setProgress(10);
        late.resolve(await checkpoint(1).catch((error: unknown) => error));
      });
    });
    const { id } = await queue.enqueue(Work, 1);
    await jobIn('completed', queue, id);
    go.resolve();
    expect(await late.promise).toBeInstanceOf(StaleAttemptError);
    expect(await saves()).toEqual([]);
  });

  it('stay with a job that a shutdown hands back', async () => {
    const started = deferred();
    const worker = await start(
      async (_, { setProgress, checkpoint }) => {
        await checkpoint('here');
        setProgress(20);
        started.resolve();
        // Deaf to its signal.
        await new Promise(() => undefined);
      },
      { worker: { shutdownTimeoutMs: 0 } },
    );
    const { id } = await worker.queue.enqueue(Work, 1);
    await started.promise;
    await worker.close();
    expect(await producer.queue.getJob(id)).toMatchObject({
      state: 'available',
      attempt: 0,
      checkpoint: 'here',
      progress: { percent: 20 },
    });
    expect(await rowCount()).toBe(0);
  });

  it('wait while the database is away, and the handler goes on', async () => {
    const proxy = await FaultProxy.open(database.url);
    const [started, cut, resolved] = [deferred(), deferred(), deferred()];
    await start(
      async (_, { setProgress, checkpoint }) => {
        started.resolve();
        await cut.promise;
        for (let n = 0; n < 100; n++) setProgress(n);
        const checkpointed = checkpoint('there').then(() => resolved.resolve());
        setProgress(100);
        await checkpointed;
        await new Promise(() => undefined);
      },
      { url: proxy.url, worker: { shutdownTimeoutMs: 0 } },
    );
    const { id } = await producer.queue.enqueue(Work, 1);
    await started.promise;
    proxy.cut({ refuse: true });
    cut.resolve();
    await until(async () => apps.logs.some((line) => line.includes('[Awa attempt state] a turn failed')), {
      what: 'a save failing',
    });
    expect(await rowCount()).toBe(0);
    proxy.cut();
    await resolved.promise;
    expect(await producer.queue.getJob(id)).toMatchObject({
      checkpoint: 'there',
      progress: { percent: 100 },
    });
  });

  it('leave nothing behind when the answer to a save is lost and the attempt succeeds', async () => {
    const proxy = await FaultProxy.open(database.url);
    const lock = await database.client();
    const [started, end] = [deferred(), deferred()];
    await start(
      async (_, { setProgress, flush }) => {
        setProgress(1);
        void flush();
        started.resolve();
        await end.promise;
      },
      { url: proxy.url },
    );
    await lock.query('BEGIN; LOCK TABLE awa.attempt_state IN SHARE MODE');
    const { id } = await producer.queue.enqueue(Work, 1);
    await started.promise;
    const sql = "SELECT FROM pg_locks WHERE relation = 'awa.attempt_state'::regclass AND NOT granted";
    await until(async () => ((await database.query(sql)).rowCount ?? 0) > 0, { what: 'a save waiting' });
    proxy.swallowAnswers();
    await lock.query('COMMIT');
    await until(async () => (await rowCount()) === 1, { what: 'the save being committed' });
    end.resolve();
    await nextTurn();
    proxy.cut();
    await jobIn('completed', producer.queue, id);
    expect(await rowCount()).toBe(0);
  });
});
