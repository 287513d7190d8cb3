import {
  BootError,
  defineJob,
  InvalidOptionsError,
  type JobContext,
  type JobEvent,
  JobHandler,
  type JobOf,
  OnJobEvent,
  QueueService,
  snooze,
  fail,
  StaleAttemptError,
  type TransactionalJobContext,
} from 'nestjs-awa';
import { type EntityManager, DataSource, type QueryRunner } from 'typeorm';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { FaultProxy } from '../support/fault-proxy.js';
import { type Deferred, deferred, until } from '../support/signals.js';
import {
  failOnUnhandled,
  handlerOf,
  jobIn,
  type TestApp,
  type TestAppOptions,
  useTestApps,
} from '../support/test-app.js';
import { useTestDatabase } from '../support/test-database.js';

const Work = defineJob<number, 'work'>('work', { retry: { baseMs: 60_000 }, unique: { args: true } });
const Quick = defineJob<number, 'quick'>('quick', { retry: { baseMs: 0 } });
const FollowUp = defineJob<number, 'follow-up'>('follow-up', { queue: 'later' });
const QUEUES = { default: {}, later: {} };

type Handle = (job: JobOf<typeof Work>, context: TransactionalJobContext) => unknown;

function transactional(handle: Handle, definition: typeof Work | typeof Quick = Work) {
  class Handler {
    readonly handle = handle;
  }
  JobHandler(definition as typeof Work, { transactional: true })(Handler);
  return Handler;
}

describe('an attempt that ends in a transaction of the application', () => {
  failOnUnhandled();
  const database = useTestDatabase();
  const apps = useTestApps(database);
  const sources: DataSource[] = [];
  let proxy: FaultProxy | undefined;
  let producer: TestApp;

  beforeAll(async () => {
    await database.query(
      'CREATE TABLE public.effects (n int, lease int); GRANT ALL ON public.effects TO PUBLIC',
    );
  });

  beforeEach(async () => {
    await destroyed();
    // What an earlier test has left to be tried again holds its unique key.
    await database.query('TRUNCATE public.effects, awa.deferred_jobs, awa.job_unique_claims');
    producer = await apps.start({ worker: false, queues: QUEUES });
  });

  // The applications close after this, and have to reach the database for it.
  afterEach(() => proxy?.cut());

  afterAll(async () => {
    await destroyed();
  });

  /** Not by a hook after each test: the applications are closed after those of this file, and need their pool for it. */
  async function destroyed(): Promise<void> {
    for (const source of sources.splice(0)) await source.destroy().catch(() => undefined);
  }

  async function dataSource(url = database.url): Promise<DataSource> {
    const source = await new DataSource({ type: 'postgres', url, poolSize: 5 }).initialize();
    // A connection that is cut while nobody uses it.
    (source.driver as unknown as { master: NodeJS.EventEmitter }).master.on('error', () => undefined);
    sources.push(source);
    return source;
  }

  async function startWorker(options: TestAppOptions, source?: DataSource): Promise<TestApp> {
    const worker = await apps.start({
      dataSource: source ?? (await dataSource()),
      queues: QUEUES,
      ...options,
      worker: { queues: ['default'], ...(options.worker as object) },
    });
    return worker;
  }

  async function write(to: EntityManager | QueryRunner, n: number, lease: number): Promise<void> {
    await to.query('INSERT INTO public.effects VALUES ($1, $2)', [n, lease]);
  }

  async function effects(): Promise<{ n: number; lease: number }[]> {
    const { rows } = await database.query<{ n: number; lease: number }>(
      'SELECT n, lease FROM public.effects ORDER BY n, lease',
    );
    return rows;
  }

  async function followUps(): Promise<number> {
    return (await producer.queue.listJobs({ kind: 'follow-up' })).items.length;
  }

  async function completions(id: string): Promise<number> {
    const { rows } = await database.query<{ times: number }>(
      'SELECT count(*)::int AS times FROM awa.completion_batches, unnest(job_ids) AS job_id WHERE job_id = $1',
      [id],
    );
    return rows[0]?.times ?? Number.NaN;
  }

  async function cleanedUp(): Promise<void> {
    const { rows } = await database.query<{ states: number; keys: number }>(
      'SELECT (SELECT count(*)::int FROM awa.attempt_state) AS states, (SELECT count(*)::int FROM awa.job_unique_claims) AS keys',
    );
    expect(rows).toEqual([{ states: 0, keys: 0 }]);
  }

  /** A handler that says when it has written, and waits to go on. */
  function held(): { reached: Deferred<void>; go: Deferred<void>; pass(): Promise<void> } {
    const reached = deferred();
    const go = deferred();
    return {
      reached,
      go,
      pass: async () => {
        reached.resolve();
        await go.promise;
      },
    };
  }

  describe('with transactional: true', () => {
    it('commits writes, follow-ups and completion together', async () => {
      const gate = held();
      let queue: QueueService | undefined;
      const worker = await startWorker({
        handlers: [
          transactional(async ({ args, runLease }, { manager, setProgress, checkpoint }) => {
            setProgress(50);
            await checkpoint({ half: true });
            await write(manager, args, runLease);
            await queue?.enqueue(FollowUp, args, { manager });
            await gate.pass();
          }),
        ],
      });
      queue = worker.queue;
      const { id } = await producer.queue.enqueue(Work, 1);
      await gate.reached.promise;
      expect(await effects()).toEqual([]);
      expect(await followUps()).toBe(0);
      expect(await producer.queue.getJob(id)).toMatchObject({ state: 'running', checkpoint: { half: true } });
      gate.go.resolve();

      await jobIn('completed', producer.queue, id);
      expect(await effects()).toEqual([{ n: 1, lease: 1 }]);
      expect(await followUps()).toBe(1);
      expect(await completions(id)).toBe(1);
      await cleanedUp();
    });

    it('rolls all of it back when the handler throws', async () => {
      const worker = await startWorker({
        handlers: [
          transactional(async ({ args, runLease }, { manager }) => {
            await write(manager, args, runLease);
            throw new Error('no luck');
          }),
        ],
      });
      const { id } = await worker.queue.enqueue(Work, 1);
      const job = await jobIn('retryable', producer.queue, id);
      expect(job.errors).toEqual([expect.objectContaining({ error: expect.stringContaining('no luck') })]);
      expect(await effects()).toEqual([]);
    });

    it('rolls back, and says why, when a failed statement was passed over in silence', async () => {
      const worker = await startWorker({
        handlers: [
          transactional(async ({ args, runLease }, { manager }) => {
            await write(manager, args, runLease);
            await manager.query('SELECT 1 / 0').catch(() => undefined);
          }),
        ],
      });
      const { id } = await worker.queue.enqueue(Work, 1);
      const job = await jobIn('retryable', producer.queue, id);
      expect(job.errors[0]?.error).toContain('current transaction is aborted');
      expect(await effects()).toEqual([]);
    });

    it('commits with an outcome that is returned, and rolls back before one that is thrown', async () => {
      const worker = await startWorker({
        handlers: [
          transactional(async ({ args, runLease }, { manager }) => {
            await write(manager, args, runLease);
            if (args === 1) return snooze(60_000);
            if (args === 2) return fail('enough');
            throw args === 3 ? snooze(60_000) : fail('enough');
          }),
        ],
      });
      const ids = await worker.queue.enqueueMany(Work, [1, 2, 3, 4]);
      const states = ['scheduled', 'failed', 'scheduled', 'failed'] as const;
      for (const [index, state] of states.entries()) await jobIn(state, producer.queue, ids[index]!.id);
      expect(await effects()).toEqual([1, 2].map((n) => ({ n, lease: 1 })));
      const { rows } = await database.query('SELECT FROM awa.job_unique_claims');
      expect(rows).toHaveLength(2);
    });

    it('has no effect when the job was cancelled meanwhile', async () => {
      const gate = held();
      await startWorker({
        handlers: [
          transactional(async ({ args, runLease }, { manager }) => {
            await write(manager, args, runLease);
            await gate.pass();
          }),
        ],
      });
      const { id } = await producer.queue.enqueue(Work, 1);
      await gate.reached.promise;
      await producer.queue.cancelJob(id);
      gate.go.resolve();
      await until(async () => apps.logs.some((line) => line.includes('had been taken away')), {
        what: 'the refusal of the commit',
      });
      expect(await producer.queue.getJob(id)).toMatchObject({ state: 'cancelled' });
      expect(await effects()).toEqual([]);
    });

    it('has the effect of one attempt, when another one was made meanwhile', async () => {
      const gate = held();
      const handlers = [
        transactional(async ({ args, runLease }, { manager }) => {
          await write(manager, args, runLease);
          if (runLease === 1) await gate.pass();
        }),
      ];
      await startWorker({ handlers });
      const { id } = await producer.queue.enqueue(Work, 1);
      await gate.reached.promise;
      await database.query('DELETE FROM awa.runtime_instances');
      await startWorker({ handlers, worker: { heartbeatIntervalMs: 100, heartbeatStaleMs: 20_000 } });
      await jobIn('completed', producer.queue, id, 20_000);
      gate.go.resolve();
      await until(async () => apps.logs.some((line) => line.includes('had been taken away')), {
        what: 'the refusal of the first commit',
      });
      expect(await effects()).toEqual([{ n: 1, lease: 2 }]);
      expect(await completions(id)).toBe(1);
    });

    it('counts once when the answer of COMMIT is lost', async () => {
      proxy = await FaultProxy.open(database.url);
      const source = await dataSource(proxy.url);
      let lost = 0;
      source.subscribers.push({
        beforeTransactionCommit: () => {
          if (lost++ === 0) proxy?.swallowAnswers();
        },
      });
      await startWorker(
        {
          handlers: [
            transactional(async ({ args, runLease }, { manager }) => write(manager, args, runLease)),
          ],
        },
        source,
      );
      const { id } = await producer.queue.enqueue(Work, 1);
      await jobIn('completed', producer.queue, id);
      proxy.cut();
      const { id: next } = await producer.queue.enqueue(Work, 2);
      await jobIn('completed', producer.queue, next);
      expect(lost).toBe(2);
      expect(await effects()).toEqual([1, 2].map((n) => ({ n, lease: 1 })));
      expect(await producer.queue.getJob(id)).toMatchObject({ state: 'completed', attempt: 1, errors: [] });
      expect(await completions(id)).toBe(1);
      expect(apps.logs.filter((line) => line.includes('taken away'))).toEqual([]);
    });

    it('counts as failed when COMMIT did not arrive, and the next attempt has the effect', async () => {
      proxy = await FaultProxy.open(database.url);
      const source = await dataSource(proxy.url);
      let lost = 0;
      source.subscribers.push({
        beforeTransactionCommit: () => {
          if (lost++ === 0) proxy?.cut();
        },
      });
      await startWorker(
        {
          handlers: [
            transactional(async ({ args, runLease }, { manager }) => write(manager, args, runLease), Quick),
          ],
        },
        source,
      );
      const { id } = await producer.queue.enqueue(Quick, 1);
      const job = await jobIn('completed', producer.queue, id, 20_000);
      expect(job).toMatchObject({ attempt: 2 });
      expect(job.errors).toHaveLength(1);
      expect(await effects()).toEqual([{ n: 1, lease: 2 }]);
      expect(await completions(id)).toBe(1);
    });

    it('refuses completeIn(), and a transaction that the handler has ended itself', async () => {
      const refusals: unknown[] = [];
      const worker = await startWorker({
        handlers: [
          transactional(async ({ args }, { manager, completeIn }) => {
            if (args === 1) await completeIn(manager).catch((error: unknown) => refusals.push(error));
            else await manager.queryRunner?.commitTransaction();
          }),
        ],
      });
      const [first, second] = await worker.queue.enqueueMany(Work, [1, 2]);
      await jobIn('completed', producer.queue, first!.id);
      expect(refusals).toEqual([expect.any(InvalidOptionsError)]);
      const job = await jobIn('retryable', producer.queue, second!.id);
      expect(job.errors[0]?.error).toContain('has ended the transaction');
    });

    it('is told to listeners, in both ways, once', async () => {
      const told: string[] = [];
      class Listener {
        hear({ jobId, type }: JobEvent): void {
          told.push(`${type} ${jobId}`);
        }
      }
      const hear = Object.getOwnPropertyDescriptor(Listener.prototype, 'hear')!;
      OnJobEvent(['completed', 'retried', 'failed'])(Listener.prototype, 'hear', hear as never);
      const source = await dataSource();
      const worker = await startWorker(
        {
          handlers: [
            Listener,
            transactional(() => undefined),
            handlerOf(Quick, async (_, { completeIn }) =>
              source.transaction((manager) => completeIn(manager)),
            ),
          ],
        },
        source,
      );
      const ids = [await worker.queue.enqueue(Work, 1), await worker.queue.enqueue(Quick, 1)].map(
        ({ id }) => id,
      );
      await until(async () => told.length === 2, { what: 'both events' });
      for (const id of ids) await jobIn('completed', producer.queue, id);
      expect(told.toSorted()).toEqual(ids.map((id) => `completed ${id}`).toSorted());
    });

    it('needs the DataSource of the application: without, the worker does not start', async () => {
      const starting = apps.start({ handlers: [transactional(() => undefined)] });
      await expect(starting).rejects.toThrow(BootError);
      await expect(starting).rejects.toThrow(/Handler \(in AppModule\) is transactional.*"dataSource"/);
    });
  });

  describe('with completeIn()', () => {
    async function startCompleting(
      source: DataSource,
      work: (job: JobOf<typeof Work>, context: JobContext) => unknown,
    ): Promise<TestApp> {
      return startWorker({ handlers: [handlerOf(Work, work)] }, source);
    }

    it('completes the job with the commit', async () => {
      const source = await dataSource();
      await startCompleting(source, async ({ args, runLease }, { completeIn, setProgress }) => {
        setProgress(99);
        await source.transaction(async (manager) => {
          await write(manager, args, runLease);
          await completeIn(manager);
        });
      });
      const { id } = await producer.queue.enqueue(Work, 1);
      await jobIn('completed', producer.queue, id);
      const { id: next } = await producer.queue.enqueue(Work, 2);
      await jobIn('completed', producer.queue, next);
      expect(await effects()).toEqual([1, 2].map((n) => ({ n, lease: 1 })));
      expect(await completions(id)).toBe(1);
      expect(apps.logs.filter((line) => line.includes('taken away'))).toEqual([]);
      await cleanedUp();
    });

    it.each([
      ['returns', 'completed'],
      ['throws', 'retryable'],
    ] as const)('says nothing when the transaction rolls back and the handler %s', async (end, state) => {
      const source = await dataSource();
      await startCompleting(source, async ({ args, runLease }, { completeIn }) => {
        const runner = source.createQueryRunner();
        await runner.startTransaction();
        await write(runner, args, runLease);
        await completeIn(runner);
        await runner.rollbackTransaction();
        await runner.release();
        if (end === 'throws') throw new Error('no luck');
      });
      const { id } = await producer.queue.enqueue(Work, 1);
      await jobIn(state, producer.queue, id);
      expect(await effects()).toEqual([]);
      expect(await completions(id)).toBe(end === 'returns' ? 1 : 0);
    });

    it('says nothing when a savepoint around it rolls back and the transaction commits', async () => {
      const source = await dataSource();
      await startCompleting(source, async ({ args, runLease }, { completeIn }) => {
        await source.transaction(async (manager) => {
          await write(manager, args, runLease);
          const inner = manager.transaction(async (nested) => {
            await completeIn(nested);
            throw new Error('back to the savepoint');
          });
          await inner.catch(() => undefined);
        });
        return fail('not completed');
      });
      const { id } = await producer.queue.enqueue(Work, 1);
      await jobIn('failed', producer.queue, id);
      expect(await effects()).toEqual([{ n: 1, lease: 1 }]);
      expect(await completions(id)).toBe(0);
    });

    it('has completed the job, whatever the handler throws after the commit', async () => {
      const source = await dataSource();
      await startCompleting(source, async (_, { completeIn }) => {
        await source.transaction(async (manager) => completeIn(manager));
        throw new Error('too late');
      });
      const { id } = await producer.queue.enqueue(Work, 1);
      await until(async () => apps.logs.some((line) => /error after completeIn\(\): .*too late/.test(line)), {
        what: 'the late error being logged',
      });
      expect(await jobIn('completed', producer.queue, id)).toMatchObject({ errors: [] });
    });

    it('rejects when somebody else has ended the attempt, so that the transaction rolls back', async () => {
      const source = await dataSource();
      const gate = held();
      const refusal = deferred<unknown>();
      await startCompleting(source, async ({ args, runLease }, { completeIn }) => {
        await gate.pass();
        const committed = source.transaction(async (manager) => {
          await write(manager, args, runLease);
          await completeIn(manager);
        });
        await committed.catch((error: unknown) => refusal.resolve(error));
      });
      const { id } = await producer.queue.enqueue(Work, 1);
      await gate.reached.promise;
      await producer.queue.cancelJob(id);
      gate.go.resolve();
      expect(await refusal.promise).toBeInstanceOf(StaleAttemptError);
      expect(await effects()).toEqual([]);
    });

    it('refuses a manager without a transaction', async () => {
      const source = await dataSource();
      const refusal = deferred<unknown>();
      await startCompleting(source, async (_, { completeIn }) => {
        await completeIn(source.manager).catch((error: unknown) => refusal.resolve(error));
      });
      await producer.queue.enqueue(Work, 1);
      expect(await refusal.promise).toBeInstanceOf(InvalidOptionsError);
    });

    it('holds up the other jobs of its claim until it ends, and nothing else', async () => {
      const source = await dataSource();
      const gate = held();
      const returned = deferred();
      await startWorker(
        {
          handlers: [
            handlerOf(Work, async ({ args }, { completeIn }) => {
              if (args !== 1) {
                // Its result comes when the claim is locked.
                await gate.reached.promise;
                returned.resolve();
                return;
              }
              await source.transaction(async (manager) => {
                await completeIn(manager);
                await gate.pass();
              });
            }),
            handlerOf(Quick, () => undefined),
          ],
          worker: { heartbeatIntervalMs: 100, heartbeatStaleMs: 20_000 },
        },
        source,
      );
      const [first, second] = await producer.queue.enqueueMany(Work, [1, 2]);
      await Promise.all([gate.reached.promise, returned.promise]);
      // Both in one claim, and one after the other through the same batcher: the third does not wait for the second.
      const { rows } = await database.query('SELECT FROM awa.lease_claims WHERE job_ids @> $1::bigint[]', [
        [first!.id, second!.id],
      ]);
      expect(rows).toHaveLength(1);
      const { rows: before } = await database.query<{ at: Date }>(
        'SELECT heartbeat_at AS at FROM awa.runtime_instances',
      );
      for (const n of [1, 2, 3]) {
        const { id } = await producer.queue.enqueue(Quick, n);
        await jobIn('completed', producer.queue, id);
      }
      await until(
        async () => {
          const { rows: now } = await database.query<{ at: Date }>(
            'SELECT heartbeat_at AS at FROM awa.runtime_instances WHERE heartbeat_at > $1',
            [before[0]!.at],
          );
          return now.length > 0;
        },
        { what: 'a heartbeat', timeoutMs: 3_000 },
      );
      expect(await producer.queue.getJob(second!.id)).toMatchObject({ state: 'running' });
      gate.go.resolve();
      await jobIn('completed', producer.queue, second!.id);
      await jobIn('completed', producer.queue, first!.id);
    });
  });
});
