import { defineJob, type JobContext, type JobDefinition, JobTimeoutError } from 'nestjs-awa';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { Deadline } from '../../lib/worker/deadline.js';
import { Lingering } from '../../lib/worker/lingering.js';
import { Timeouts } from '../../lib/worker/timeouts.js';
import { deferred } from '../support/signals.js';
import { failOnUnhandled, handlerOf, jobIn, type TestApp, useTestApps } from '../support/test-app.js';
import { useTestDatabase } from '../support/test-database.js';

const Marker = defineJob<number, 'marker'>('marker', { queue: 'marker' });

/** Rejects with the reason of the abort. */
function aborted({ signal }: JobContext): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error));
  });
}

describe('an attempt with a time-out', () => {
  failOnUnhandled();
  const database = useTestDatabase();
  const apps = useTestApps(database);
  let Work: JobDefinition<number, number>;
  let tests = 0;

  beforeEach(() => {
    Work = defineJob<number>('work', { queue: `test ${++tests}`, timeout: 50, retry: { baseMs: 60_000 } });
  });

  async function start(handle: (n: number, context: JobContext) => unknown, options = {}): Promise<TestApp> {
    return apps.start({
      queues: { [Work.queue]: { maxWorkers: 1, ...options }, marker: {} },
      handlers: [
        handlerOf(Work, ({ args }, context) => handle(args, context)),
        handlerOf(Marker, () => undefined),
      ],
    });
  }

  it('is aborted with a JobTimeoutError, which counts as a failed attempt', async () => {
    const reason = deferred<unknown>();
    const { queue } = await start(async (_, context) => {
      context.signal.addEventListener('abort', () => reason.resolve(context.signal.reason));
      await aborted(context);
    });
    const { id } = await queue.enqueue(Work, 1);
    expect(await reason.promise).toBeInstanceOf(JobTimeoutError);
    expect(await reason.promise).toMatchObject({ code: 'AWA_JOB_TIMEOUT', timeoutMs: 50 });
    const job = await jobIn('retryable', queue, id);
    expect(job).toMatchObject({ attempt: 1, runLease: 1, errors: [{ attempt: 1, terminal: false }] });
    expect(job.errors[0]?.error).toContain('did not end within its time-out of 50 ms');
    expect(job.runAt.getTime() - job.createdAt.getTime()).toBeGreaterThan(60_000);
  });

  it('has timed out whatever its handler throws then, which is kept as the cause', async () => {
    const { queue } = await start(async (_, context) =>
      aborted(context).catch(() => Promise.reject(new Error('the download was cut off'))),
    );
    const { id } = await queue.enqueue(Work, 1);
    const { errors } = await jobIn('retryable', queue, id);
    expect(errors[0]?.error).toMatch(/^JobTimeoutError[^]*Caused by: Error: the download was cut off/);
  });

  it('keeps a result that its handler brings right after the abort', async () => {
    const { queue } = await start(async (_, context) => aborted(context).catch(() => undefined));
    const { id } = await queue.enqueue(Work, 1);
    expect(await jobIn('completed', queue, id)).toMatchObject({ attempt: 1, errors: [] });
  });

  it('is a dead letter after its last one, with a reason of its own', async () => {
    const { queue } = await start(async (_, context) => aborted(context), { deadLetter: true });
    const { id } = await queue.enqueue(Work, 1, { maxAttempts: 1 });
    expect(await jobIn('failed', queue, id)).toMatchObject({ attempt: 1, deadLetter: true });
    const { rows } = await database.query('SELECT reason FROM awa.dlq_entries WHERE job_id = $1', [id]);
    expect(rows).toEqual([{ reason: 'timed_out' }]);
  });

  it('ends although its handler ignores the signal: that keeps its slot, and its late result does not count', async () => {
    const gate = deferred();
    const ended = deferred();
    const starts: number[] = [];
    const { queue } = await start(async (n, { setProgress }) => {
      starts.push(n);
      if (n > 1) return;
      setProgress(30, 'stuck');
      await gate.promise;
      ended.resolve();
    });
    const { id } = await queue.enqueue(Work, 1);
    const fenced = await jobIn('retryable', queue, id);
    expect(fenced).toMatchObject({ attempt: 1, errors: [{ attempt: 1 }], progress: { percent: 30 } });

    // Claimed together with the marker, if there were a slot.
    const { id: next } = await queue.enqueue(Work, 2);
    const { id: marker } = await queue.enqueue(Marker, 1);
    await jobIn('completed', queue, marker);
    expect(await queue.getJob(next)).toMatchObject({ state: 'available' });

    gate.resolve();
    await ended.promise;
    await jobIn('completed', queue, next);
    expect(starts).toEqual([1, 2]);
    expect(await queue.getJob(id)).toMatchObject({ state: 'retryable', attempt: 1, runLease: 1 });
    expect(apps.logs.filter((line) => line.includes('taken away'))).toEqual([]);
  });

  it('does not hold up a shutdown after it was ended, whatever its handler does', async () => {
    const gate = deferred();
    const app = await start(async () => gate.promise);
    const { id } = await app.queue.enqueue(Work, 1);
    await jobIn('retryable', app.queue, id);
    await app.close();
    gate.resolve();
    expect(apps.logs.filter((line) => line.includes('still run'))).toEqual([]);
  });

  it('has that of its job rather than of its queue, and is registered with it', async () => {
    const queues = [
      { name: 'a', timeoutMs: 1_000 },
      { name: 'b', timeoutMs: 0 },
    ];
    const definitions = [
      defineJob('own', { timeout: 5 }),
      defineJob('none', { timeout: 0 }),
      defineJob('plain'),
    ];
    const timeouts = new Timeouts(queues, definitions);
    expect(['own', 'none', 'plain', 'unknown'].map((kind) => timeouts.of({ kind, queue: 'a' }))).toEqual([
      5,
      undefined,
      1_000,
      1_000,
    ]);
    expect(['own', 'plain'].map((kind) => timeouts.of({ kind, queue: 'b' }))).toEqual([5, undefined]);
    expect(timeouts.toRegister()).toEqual({ kinds: { own: 5, none: 0 }, queues: { a: 1_000 } });
    expect(new Timeouts([{ name: 'b', timeoutMs: 0 }], definitions.slice(1)).toRegister()).toBeUndefined();

    await start(() => undefined, { timeout: 7_000 });
    const { rows } = await database.query('SELECT timeouts FROM awa.runtime_instances');
    expect(rows).toEqual([{ timeouts: { kinds: { work: 50 }, queues: { [Work.queue]: 7_000 } } }]);
  });
});

describe('a handler that goes on after its time', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });

  afterEach(() => {
    vi.useRealTimers();
  });

  it('is told, is fenced after a second, and loses its slot after it has lingered', () => {
    const steps: string[] = [];
    const deadline = new Deadline(500, {
      onOverdue: () => steps.push('overdue'),
      onFence: () => steps.push('fenced'),
      onForsake: () => steps.push('forsaken'),
      lingerMs: () => 60_000,
    });
    for (const [ms, state] of [
      [499, 'running'],
      [1, 'overdue'],
      [999, 'overdue'],
      [1, 'fenced'],
      [59_999, 'fenced'],
      [1, 'forsaken'],
    ] as const) {
      vi.advanceTimersByTime(ms);
      expect(deadline.state).toBe(state);
    }
    expect(steps).toEqual(['overdue', 'fenced', 'forsaken']);
  });

  it('keeps its slot for longer the more of them there are, up to a day', () => {
    const lingering = new Lingering([{ name: 'a', maxWorkers: 2 }]);
    const minutes = () => lingering.lingerMs('a') / 60_000;
    const seen = [minutes()];
    for (let handler = 0; handler < 5; handler++) {
      lingering.forsake('a');
      seen.push(minutes());
    }
    expect(seen).toEqual([1, 1, 2, 2, 4, 4]);
    for (let handler = 0; handler < 100; handler++) lingering.forsake('a');
    expect(minutes()).toBe(24 * 60);
    for (let handler = 0; handler < 105; handler++) lingering.return('a');
    expect(minutes()).toBe(1);
  });
});
