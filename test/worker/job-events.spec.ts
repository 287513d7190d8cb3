import { Injectable, Module, Scope } from '@nestjs/common';
import {
  AwaModule,
  BootError,
  cancel,
  defineJob,
  fail,
  InvalidOptionsError,
  type Job,
  type JobContext,
  type JobEvent,
  JobHandler,
  OnJobEvent,
  QueueService,
  snooze,
} from 'nestjs-awa';
import { beforeEach, describe, expect, it } from 'vitest';

import { useNestApps } from '../module/nest-apps.js';
import { enqueueJobs } from '../../lib/storage/operations/enqueue-jobs.js';
import { deferred, until } from '../support/signals.js';
import {
  claimJobs,
  newJob,
  openPort,
  registerTestInstance,
  registerTestQueue,
  SCHEMA,
} from '../support/storage-fixture.js';
import { failOnUnhandled, jobIn } from '../support/test-app.js';
import { useTestDatabase } from '../support/test-database.js';

type Order = 'complete' | 'throw' | 'fail' | 'cancel' | 'snooze' | 'wait';

const Work = defineJob<Order, 'work'>('work', { retry: { baseMs: 60_000 } });
const Other = defineJob<Order, 'other'>('other', { queue: 'side' });

const ENDS: Record<Exclude<Order, 'wait'>, () => unknown> = {
  complete: () => 'done',
  throw: () => Promise.reject(new Error('no luck')),
  fail: () => fail('enough'),
  cancel: () => cancel('not wanted'),
  snooze: () => snooze(60_000),
};

let events: JobEvent[];
let started: () => void;

class Obedient {
  async handle({ args }: Job<Order>, { signal }: JobContext): Promise<unknown> {
    if (args !== 'wait') return ENDS[args]();
    started();
    return new Promise((_, reject) => {
      signal.addEventListener('abort', () => reject(new Error('aborted')));
    });
  }
}

@JobHandler(Work)
class WorkHandler extends Obedient {}

@JobHandler(Other)
class OtherHandler extends Obedient {}

@Injectable()
class Everything {
  private readonly own = true;

  @OnJobEvent([
    'started',
    'completed',
    'retried',
    'failed',
    'exhausted',
    'cancelled',
    'snoozed',
    'released',
    'rescued',
  ])
  hear(event: JobEvent): void {
    if (this.own) events.push(event);
  }
}

describe('@OnJobEvent', () => {
  failOnUnhandled();
  const database = useTestDatabase();
  const apps = useNestApps();

  beforeEach(() => {
    events = [];
  });

  async function start(...providers: (new () => object)[]) {
    const lines: string[] = [];
    const log = (message: unknown) => lines.push(String(message));
    @Module({ providers: [WorkHandler, OtherHandler, ...providers] })
    class FeatureModule {}
    const queues = { default: {}, side: {} };
    const app = await apps.start(
      {
        imports: [
          FeatureModule,
          AwaModule.forRoot({ url: database.url, queues, worker: { shutdownTimeoutMs: 0 } }),
        ],
      },
      { log: () => undefined, warn: log, error: log },
    );
    return { app, queue: app.get(QueueService), lines };
  }

  async function heard(...types: string[]): Promise<JobEvent> {
    await until(async () => events.length >= types.length, { what: types.join(', ') });
    expect(events.map(({ type }) => type)).toEqual(types);
    return events.at(-1) as JobEvent;
  }

  it.each([
    ['complete', 25, 'completed', 'completed', ''],
    ['throw', 25, 'retried', 'retryable', 'no luck'],
    ['throw', 1, 'exhausted', 'failed', 'no luck'],
    ['fail', 25, 'failed', 'failed', 'enough'],
    ['cancel', 25, 'cancelled', 'cancelled', 'not wanted'],
    ['snooze', 25, 'snoozed', 'scheduled', ''],
  ] as const)(
    'tells of an attempt that ends by %s (of %i): %s',
    async (order, maxAttempts, type, state, error) => {
      const { queue } = await start(Everything);
      const { id } = await queue.enqueue(Work, order, { maxAttempts });
      const event = await heard('started', type);
      expect(event).toMatchObject({
        type,
        state,
        jobId: id,
        kind: 'work',
        queue: 'default',
        attempt: 1,
        runLease: 1,
      });
      expect(event.maxAttempts).toBe(maxAttempts);
      expect(event.waitMs).toBeGreaterThanOrEqual(0);
      expect(event.durationMs).toBeGreaterThan(0);
      expect(event.error ?? '').toContain(error);
      // After the commit.
      expect(await queue.getJob(id)).toMatchObject({ state });
      expect(events[0]).toMatchObject({ state: 'running', durationMs: 0, jobId: id });
    },
  );

  it('tells of a job that is cancelled while it runs, once', async () => {
    const { queue } = await start(Everything);
    const running = deferred();
    started = running.resolve;
    const { id } = await queue.enqueue(Work, 'wait');
    await running.promise;
    await queue.cancelJob(id);
    await heard('started', 'cancelled');
    const { id: next } = await queue.enqueue(Work, 'complete');
    await jobIn('completed', queue, next);
    expect(await heard('started', 'cancelled', 'started', 'completed')).toMatchObject({ jobId: next });
  });

  it.each([
    [25, 'retryable'],
    [1, 'failed'],
  ] as const)(
    'tells of an attempt (of %i) that was rescued from a process that is gone',
    async (maxAttempts, state) => {
      const port = await openPort(database);
      const [queue, dead] = [await registerTestQueue(port), await registerTestInstance(port)];
      const [id] = await enqueueJobs(port, SCHEMA, [newJob(queue, { maxAttempts })]);
      await claimJobs(port, SCHEMA, dead, [{ queue, limit: 1 }]);
      await database.query('DELETE FROM awa.runtime_instances WHERE instance_id = $1', [dead]);
      await start(Everything);
      expect(await heard('rescued')).toEqual({
        type: 'rescued',
        jobId: id,
        kind: 'test',
        queue,
        attempt: 1,
        maxAttempts,
        runLease: 1,
        state,
        error: 'the worker that ran this attempt is gone',
        waitMs: 0,
        durationMs: 0,
      });
    },
  );

  it('tells what is handed back at a shutdown, and waits for those who hear it', async () => {
    const told: string[] = [];
    @Injectable()
    class Slow {
      @OnJobEvent('released')
      async hear({ jobId }: JobEvent): Promise<void> {
        await database.query('SELECT pg_sleep(0.3)');
        told.push(jobId);
      }
    }
    const { queue, app } = await start(Everything, Slow);
    const running = deferred();
    started = running.resolve;
    const { id } = await queue.enqueue(Work, 'wait');
    await running.promise;
    await app.close();
    expect(events.at(-1)).toMatchObject({ type: 'released', jobId: id, state: 'available' });
    expect(told).toEqual([id]);
    await database.query("SELECT awa.cancel_jobs(ARRAY[$1::bigint], 'of no further use')", [id]);
  });

  it('tells each listener what it asked for', async () => {
    const told: string[] = [];
    @Injectable()
    class Picky {
      @OnJobEvent('completed', { queue: 'side' })
      bySide({ kind }: JobEvent): void {
        told.push(`side: ${kind}`);
      }

      @OnJobEvent('completed', { kind: Work })
      @OnJobEvent('failed', { kind: 'other' })
      byKind({ kind, type }: JobEvent): void {
        told.push(`kind: ${kind} ${type}`);
      }
    }
    const { queue } = await start(Picky, Everything);
    for (const order of ['complete', 'fail'] as const) {
      await queue.enqueue(Work, order);
      await queue.enqueue(Other, order);
    }
    await until(async () => events.length === 8, { what: 'all events' });
    expect(told.toSorted()).toEqual(['kind: other failed', 'kind: work completed', 'side: other']);
  });

  it('is not hurt by a listener that throws, rejects, or never ends', async () => {
    let calls = 0;
    @Injectable()
    class Bad {
      @OnJobEvent('completed')
      throws(): void {
        throw new Error('a bad listener');
      }

      @OnJobEvent('completed')
      async rejects(): Promise<void> {
        throw null;
      }

      @OnJobEvent('completed')
      async hangs(): Promise<never> {
        calls += 1;
        return new Promise(() => undefined);
      }
    }
    const { queue, lines } = await start(Bad, Everything);
    const jobs = await queue.enqueueMany(
      Work,
      Array.from({ length: 5_100 }, () => 'complete' as const),
    );
    await jobIn('completed', queue, jobs.at(-1)!.id);
    await until(async () => events.length === 10_200, { what: 'all events' });
    expect(calls).toBe(5_000);
    expect(
      lines.some(
        (line) => line.includes('Bad.throws failed at "completed"') && line.includes('a bad listener'),
      ),
    ).toBe(true);
    expect(lines.filter((line) => line.includes('Bad.rejects failed'))).toHaveLength(5_100);
    expect(lines.filter((line) => line.includes('Bad.hangs is 5000 events behind'))).toHaveLength(1);
  });

  it('refuses a provider that belongs to a request, and events that there are not', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class Scoped {
      @OnJobEvent('completed')
      hear(): void {}
    }
    const starting = start(Scoped);
    await expect(starting).rejects.toThrow(BootError);
    await expect(starting).rejects.toThrow(/Scoped\.hear .*request-scoped/);
    // @ts-expect-error no such event
    expect(() => OnJobEvent('done')).toThrow(InvalidOptionsError);
  });
});
