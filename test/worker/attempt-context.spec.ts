import { describe, expect, it } from 'vitest';
import type { JobContext } from '../../lib/jobs/index.js';
import type { ClaimedJob } from '../../lib/storage/operations/claim-jobs.js';
import { Attempt, CancelledAbort, ShutdownAbort } from '../../lib/worker/attempt.js';

const JOB = { jobId: '7', attempt: 2, runLease: 3 } as ClaimedJob;

describe('the context of an attempt', () => {
  function attempt(completed: unknown[] = []): Attempt {
    const sink = { changed: () => undefined, forget: () => undefined };
    return new Attempt(JOB, sink, async (_, transaction) => void completed.push(transaction));
  }

  it('can be taken apart', async () => {
    const completed: unknown[] = [];
    const started = attempt(completed);
    const { signal, jobId, attempt: number, runLease, flush, completeIn } = started.context;
    expect({ jobId, number, runLease }).toEqual({ jobId: '7', number: 2, runLease: 3 });
    await flush();
    const transaction = {} as Parameters<JobContext['completeIn']>[0];
    await completeIn(transaction);
    expect(completed).toEqual([transaction]);
    started.abort(new CancelledAbort());
    expect(signal.aborted).toBe(true);
  });

  it.each<[string, (context: JobContext) => JobContext]>([
    ['a copy', (context) => ({ ...context })],
    ['an object that inherits from it', (context) => Object.create(context) as JobContext],
    ['a proxy of it', (context) => new Proxy(context, {})],
  ])('has one signal, which %s has too', (_, derive) => {
    const started = attempt();
    const derived = derive(started.context);
    const { signal } = derived;
    expect(signal).toBe(started.context.signal);
    expect(signal.aborted).toBe(false);
    started.abort(new CancelledAbort());
    expect(derived.signal.aborted).toBe(true);
  });

  it('tells of an abort that came before anybody looked, and only of the first', () => {
    const started = attempt();
    const reason = new ShutdownAbort();
    started.abort(reason);
    started.abort(new CancelledAbort());
    const { signal } = started.context;
    expect([signal.aborted, signal.reason as unknown]).toEqual([true, reason]);
    expect([started.isAborted, started.isShuttingDown]).toEqual([true, true]);
  });

  it('cannot be changed', () => {
    const { context } = attempt();
    expect(Object.isFrozen(context)).toBe(true);
    expect(Object.keys(context).toSorted()).toEqual(
      [
        'signal',
        'jobId',
        'attempt',
        'runLease',
        'setProgress',
        'checkpoint',
        'flush',
        'completeIn',
      ].toSorted(),
    );
  });
});
