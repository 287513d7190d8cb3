import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import type { ClaimedJob } from '../../lib/storage/operations/claim-jobs.js';
import { Dispatcher } from '../../lib/worker/dispatcher.js';
import { KindLimits } from '../../lib/worker/kind-limits.js';
import { PrefetchSizes } from '../../lib/worker/prefetch-sizes.js';
import { ReservedSlots } from '../../lib/worker/queue-slots.js';

let ids = 0;

function job(queue = 'q', kind = 'plain'): ClaimedJob {
  ids += 1;
  return { jobId: String(ids), runLease: 1, queue, kind } as ClaimedJob;
}

describe('a dispatcher', () => {
  let started: ClaimedJob[];
  let dropped: ClaimedJob[];
  let given: (readonly [job: ClaimedJob, outcome: string])[];
  let dispatcher: Dispatcher;
  let prefetch: PrefetchSizes;
  let paced: string[];

  beforeEach(() => {
    vi.useFakeTimers({
      toFake: ['setTimeout', 'clearTimeout', 'setImmediate', 'clearImmediate', 'performance'],
    });
    [started, dropped, given, paced] = [[], [], [], []];
    const queues = [
      { name: 'q', maxWorkers: 2, prefetch: true },
      { name: 'other', maxWorkers: 2, prefetch: true },
    ];
    prefetch = new PrefetchSizes(queues);
    dispatcher = new Dispatcher({
      slots: new ReservedSlots(queues),
      kinds: new KindLimits((kind) => (kind === 'limited' ? 1 : undefined)),
      prefetch,
      isPaced: (queue) => paced.includes(queue),
      start: (next) => started.push(next),
      giveBack: (next, result) => given.push([next, result === 'completed' ? result : result.outcome]),
      drop: (gone) => dropped.push(gone),
      onRoom: () => undefined,
    });
  });

  afterEach(() => {
    dispatcher.stop();
    vi.useRealTimers();
  });

  it('starts no more than there are slots, and the rest in its order as they are freed', () => {
    const jobs = [job(), job(), job(), job()];
    dispatcher.accept(jobs);
    expect(started).toEqual(jobs.slice(0, 2));
    dispatcher.ended(jobs[1] as ClaimedJob);
    expect(started).toEqual(jobs.slice(0, 3));
    // An attempt that was abandoned may end a second time.
    dispatcher.ended(jobs[1] as ClaimedJob);
    expect(started).toHaveLength(3);
    dispatcher.ended(jobs[0] as ClaimedJob);
    expect(started).toEqual(jobs);
    expect(given).toEqual([]);
  });

  it('lets other kinds pass one that is full, has some of it wait and sets the others aside', () => {
    const limited = [job('q', 'limited'), job('q', 'limited'), job('q', 'limited')];
    const plain = job();
    dispatcher.accept([...limited, plain]);
    expect(started).toEqual([limited[0], plain]);
    expect(given).toEqual([[limited[2], 'snoozed']]);
    dispatcher.ended(limited[0] as ClaimedJob);
    expect(started).toEqual([limited[0], plain, limited[1]]);
  });

  it('starts a job that waits for its kind in another queue', () => {
    const [first, second] = [job('q', 'limited'), job('other', 'limited')];
    dispatcher.accept([first, second]);
    expect(started).toEqual([first]);
    dispatcher.ended(first);
    expect(started).toEqual([first, second]);
  });

  it('has nothing wait in a queue with a rate', () => {
    paced = ['q'];
    const limited = [job('q', 'limited'), job('q', 'limited')];
    dispatcher.accept(limited);
    expect(given).toEqual([[limited[1], 'snoozed']]);
  });

  it('gives back what has waited for too long, and all behind it', () => {
    const jobs = [job(), job(), job()];
    dispatcher.accept(jobs);
    vi.advanceTimersByTime(200);
    const later = job();
    dispatcher.accept([later]);
    vi.advanceTimersByTime(99);
    expect(given).toEqual([]);
    vi.advanceTimersByTime(2);
    expect(given).toEqual([
      [jobs[2], 'released'],
      [later, 'released'],
    ]);
    dispatcher.ended(jobs[0] as ClaimedJob);
    expect(started).toHaveLength(2);
  });

  it('sets aside what has waited for its kind for too long', () => {
    const limited = [job('q', 'limited'), job('q', 'limited')];
    dispatcher.accept(limited);
    vi.advanceTimersByTime(301);
    expect(given).toEqual([[limited[1], 'snoozed']]);
  });

  it('drops a job that was cancelled before it was started', () => {
    const jobs = [job(), job(), job()];
    dispatcher.accept(jobs);
    const waiting = jobs[2] as ClaimedJob;
    dispatcher.cancel(waiting.jobId, 2);
    dispatcher.cancel((jobs[0] as ClaimedJob).jobId, 1);
    expect(dropped).toEqual([]);
    dispatcher.cancel(waiting.jobId, 1);
    expect(dropped).toEqual([waiting]);
    dispatcher.ended(jobs[0] as ClaimedJob);
    expect(started).toHaveLength(2);
    expect(given).toEqual([]);
  });

  it('drops a job whose cancel was heard of before the answer of its claim', () => {
    const [first, second] = [job(), job()];
    dispatcher.cancel(first.jobId, 1);
    dispatcher.accept([first, second]);
    expect(started).toEqual([second]);
    expect(dropped).toEqual([first]);
    expect(given).toEqual([]);
  });

  it('hands everything back when it stops, and what comes after', () => {
    const jobs = [job(), job(), job()];
    dispatcher.accept(jobs);
    expect(vi.getTimerCount()).toBe(1);
    dispatcher.stop();
    expect(vi.getTimerCount()).toBe(0);
    const late = job();
    dispatcher.accept([late]);
    dispatcher.ended(jobs[0] as ClaimedJob);
    expect(started).toHaveLength(2);
    expect(given).toEqual([
      [jobs[2], 'released'],
      [late, 'released'],
    ]);
  });

  it('claims ahead again when half of it has been started', () => {
    prefetch.claimed(2);
    for (let handled = 0; handled < 30; handled++) prefetch.handled('q', 1);
    expect(dispatcher.prefetchRoom('q')).toBe(8);
    dispatcher.accept(Array.from({ length: 10 }, () => job()));
    expect(dispatcher.prefetchRoom('q')).toBe(0);
    dispatcher.ended(started[0] as ClaimedJob);
    expect(dispatcher.prefetchRoom('q', true)).toBe(0);
    dispatcher.ended(started[1] as ClaimedJob);
    expect(dispatcher.prefetchRoom('q')).toBe(0);
    expect(dispatcher.prefetchRoom('q', true)).toBe(2);
    dispatcher.ended(started[2] as ClaimedJob);
    expect(dispatcher.prefetchRoom('q')).toBe(0);
    dispatcher.ended(started[3] as ClaimedJob);
    expect(dispatcher.prefetchRoom('q')).toBe(4);
  });
});
