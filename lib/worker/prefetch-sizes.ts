/** A queue of the process, as far as prefetching goes. */
export interface PrefetchQueue {
  readonly name: string;
  readonly maxWorkers: number;
  readonly prefetch: boolean;
}

/** Handlers that take longer than this on average get no job ahead of time, in milliseconds. */
const SLOW_MS = 50;

/** Nothing is known before so many handlers have ended. */
const MIN_SAMPLES = 20;

/** The part of a new measurement in the mean. */
const WEIGHT = 0.1;

/** The work of so many milliseconds at most, so that little waits here while others are free. */
const MAX_AHEAD_MS = 50;

/**
 * How many jobs a process should hold beyond its free slots: twice as many as its handlers end while one claim is under way. It claims
 * when the half of them is gone (Dispatcher.prefetchRoom), and the other half lasts until the answer is there, so that no slot waits
 * for it. Claims and handlers are measured, as exponentially weighted means.
 */
export class PrefetchSizes {
  private readonly queues: ReadonlyMap<string, PrefetchQueue>;
  private readonly handlers = new Map<string, { meanMs: number; samples: number }>();
  private claimMs: number | undefined;

  constructor(queues: readonly PrefetchQueue[]) {
    this.queues = new Map(queues.map((queue) => [queue.name, queue]));
  }

  /** A claim took so long. */
  claimed(ms: number): void {
    this.claimMs = this.claimMs === undefined ? ms : this.claimMs + WEIGHT * (ms - this.claimMs);
  }

  /** A handler of the queue took so long. */
  handled(queue: string, ms: number): void {
    const handler = this.handlers.get(queue);
    if (handler === undefined) {
      this.handlers.set(queue, { meanMs: ms, samples: 1 });
      return;
    }
    handler.meanMs += WEIGHT * (ms - handler.meanMs);
    handler.samples += 1;
  }

  /** Jobs have waited for so long: whatever was measured does not hold any more. */
  stalled(queue: string, ms: number): void {
    const handler = this.handlers.get(queue);
    if (handler !== undefined) handler.meanMs = Math.max(handler.meanMs, ms);
  }

  /** How many jobs of the queue may be held ahead of time; none for a single worker, which keeps order. */
  size(queue: string): number {
    const limits = this.queues.get(queue);
    const handler = this.handlers.get(queue);
    if (limits === undefined || !limits.prefetch || limits.maxWorkers === 1) return 0;
    if (handler === undefined || this.claimMs === undefined) return 0;
    if (handler.samples < MIN_SAMPLES || handler.meanMs > SLOW_MS) return 0;
    const aheadMs = Math.min(2 * this.claimMs, MAX_AHEAD_MS);
    return Math.floor((limits.maxWorkers * aheadMs) / Math.max(handler.meanMs, 1));
  }
}
