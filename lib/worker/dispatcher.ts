import type { ClaimedJob } from '../storage/operations/claim-jobs.js';
import { type AttemptResult, RELEASED } from './attempt-result.js';
import type { KindLimits } from './kind-limits.js';
import type { PrefetchSizes } from './prefetch-sizes.js';
import type { QueueSlots } from './queue-slots.js';

/** A claimed job that has not started within this time goes back: others may be free for it. In milliseconds. */
const PATIENCE_MS = 300;

/** So many cancelled attempts are remembered: a cancel can be heard of before the answer of the claim is read. */
const REMEMBERED_CANCELS = 1_000;

interface Waiting {
  readonly job: ClaimedJob;
  readonly since: number;
}

export interface DispatcherOptions {
  readonly slots: QueueSlots;
  readonly kinds: KindLimits;
  readonly prefetch: PrefetchSizes;
  /** Whether tokens count the starts of the queue: then nothing of it waits here, to start later than its token was taken. */
  isPaced(queue: string): boolean;
  /** Runs the job; `ended()` is to be called when it is done. */
  start(job: ClaimedJob): void;
  /** Closes the attempt of a job that has not been started. */
  giveBack(job: ClaimedJob, result: AttemptResult): void;
  /** Forgets a job that was cancelled before it was started: its attempt is closed already. */
  drop(job: ClaimedJob): void;
  /** A slot was freed, or there is room to claim ahead. */
  onRoom(): void;
}

/**
 * Starts claimed jobs, never more at a time than there are slots, and than their kind may have.
 *
 * States of a claimed job in the process: waiting -> started -> ended, or waiting -> given back. It waits when it was claimed ahead
 * of the slots, or when its kind is full: then a few wait, and the others are set aside, so that they are in nobody's way. All
 * waiting jobs are in the order of their claims, and none waits for longer than its patience. What has not been started is
 * an open attempt as any: the process vouches for it, and it can be cancelled.
 */
export class Dispatcher {
  private readonly waiting = new Map<string, Waiting[]>();
  private readonly started = new Map<ClaimedJob, number>();
  private readonly cancelled = new Set<string>();
  private isStopped = false;
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly options: DispatcherOptions) {}

  /** Takes over what a claim has brought. */
  accept(jobs: readonly ClaimedJob[]): void {
    // The claim's reservation is over: what waits has come first.
    this.pump();
    for (const job of jobs) this.place(job);
    this.watch();
  }

  /** A started job is done, or abandoned: its slot is free. */
  ended(job: ClaimedJob): void {
    const startedAt = this.started.get(job);
    if (startedAt === undefined) return;
    this.started.delete(job);
    const tookMs = performance.now() - startedAt;
    this.options.slots.release(job.queue);
    this.options.kinds.release(job.kind, tookMs);
    this.options.prefetch.handled(job.queue, tookMs);
    this.pump();
    this.options.onRoom();
  }

  /** An attempt was cancelled, of this process or another: it is not started any more. */
  cancel(jobId: string, runLease: number): void {
    for (const list of this.waiting.values()) {
      const at = list.findIndex(({ job }) => job.jobId === jobId && job.runLease === runLease);
      const [entry] = at >= 0 ? list.splice(at, 1) : [];
      if (entry !== undefined) return this.options.drop(entry.job);
    }
    this.cancelled.add(`${jobId}:${runLease}`);
    const [oldest] = this.cancelled;
    if (this.cancelled.size > REMEMBERED_CANCELS && oldest !== undefined) this.cancelled.delete(oldest);
  }

  /**
   * How many jobs of the queue to claim beyond its free slots: fills up when the half is gone, so that claims are not tiny; along with
   * other queues when a quarter is, so that these go on together, with one claim.
   */
  prefetchRoom(queue: string, isAlong = false): number {
    const size = this.options.prefetch.size(queue);
    if (size === 0) return 0;
    const waiting = this.waiting.get(queue)?.length ?? 0;
    return waiting > size * (isAlong ? 0.75 : 0.5) ? 0 : size - waiting;
  }

  /** Hands back everything that waits: all of it, or that of one queue. */
  handBack(queue?: string): void {
    for (const [name, list] of this.waiting) {
      if (queue !== undefined && queue !== name) continue;
      for (const { job } of list.splice(0)) this.options.giveBack(job, RELEASED);
    }
  }

  /** Starts nothing any more: what waits, and what comes, goes back. */
  stop(): void {
    this.isStopped = true;
    clearTimeout(this.timer);
    this.timer = undefined;
    this.handBack();
  }

  private place(job: ClaimedJob): void {
    const { slots, kinds } = this.options;
    if (this.wasCancelled(job)) return this.options.drop(job);
    if (this.isStopped) return this.options.giveBack(job, RELEASED);
    if (kinds.isFull(job.kind)) {
      if (this.options.isPaced(job.queue) || this.waitingOf(job.kind) >= kinds.maxWaiting(job.kind))
        this.setAside(job);
      else this.keep(job);
    } else if (slots.canTake(job.queue)) this.start(job);
    else this.keep(job);
  }

  private wasCancelled({ jobId, runLease }: ClaimedJob): boolean {
    return this.cancelled.size > 0 && this.cancelled.delete(`${jobId}:${runLease}`);
  }

  /** Starts of what waits all that can be. */
  private pump(): void {
    const { slots, kinds } = this.options;
    for (const [queue, list] of this.waiting) {
      for (let at = 0; at < list.length && slots.canTake(queue);) {
        const job = list[at]?.job;
        if (job === undefined || kinds.isFull(job.kind)) at += 1;
        else {
          if (at === 0) list.shift();
          else list.splice(at, 1);
          this.start(job);
        }
      }
    }
  }

  private start(job: ClaimedJob): void {
    this.options.slots.take(job.queue);
    this.options.kinds.take(job.kind);
    this.started.set(job, performance.now());
    this.options.start(job);
  }

  private keep(job: ClaimedJob): void {
    const list = this.waiting.get(job.queue) ?? [];
    list.push({ job, since: performance.now() });
    this.waiting.set(job.queue, list);
  }

  private waitingOf(kind: string): number {
    let count = 0;
    for (const list of this.waiting.values()) for (const { job } of list) if (job.kind === kind) count += 1;
    return count;
  }

  private setAside(job: ClaimedJob): void {
    const delayMs = this.options.kinds.asideMs(job.kind);
    this.options.giveBack(job, { outcome: 'snoozed', error: undefined, delayMs });
  }

  /** Gives back what has waited for too long, and whatever waits behind it for a slot, so that its order is kept. */
  private expire(): void {
    this.timer = undefined;
    if (this.isStopped) return;
    const { kinds, prefetch } = this.options;
    const latest = performance.now() - PATIENCE_MS + 1;
    for (const [queue, list] of this.waiting) {
      const isStalled = list.some(({ job, since }) => since <= latest && !kinds.isFull(job.kind));
      for (const entry of list.splice(0)) {
        if (kinds.isFull(entry.job.kind) && entry.since <= latest) this.setAside(entry.job);
        else if (isStalled && !kinds.isFull(entry.job.kind)) this.options.giveBack(entry.job, RELEASED);
        else list.push(entry);
      }
      if (isStalled) prefetch.stalled(queue, PATIENCE_MS);
    }
    this.watch();
  }

  private watch(): void {
    if (this.timer !== undefined || this.isStopped) return;
    let first = Number.POSITIVE_INFINITY;
    for (const list of this.waiting.values()) first = Math.min(first, list[0]?.since ?? first);
    if (first === Number.POSITIVE_INFINITY) return;
    // After a blocked event loop timers come first: what has ended meanwhile may make room, in this very turn.
    this.timer = setTimeout(
      () => setImmediate(() => this.expire()),
      Math.max(first + PATIENCE_MS - performance.now(), 1),
    );
  }
}
