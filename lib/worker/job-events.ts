import { Logger } from '@nestjs/common';
import type { DiscoveredListener } from '../discovery/job-event.explorer.js';
import { describeError, type JobEvent, type JobEventType } from '../jobs/index.js';
import type { RescuedAttempt } from '../storage/operations/claim-pages.js';
import type { ClaimedJob } from '../storage/operations/claim-jobs.js';
import type { Settlement } from '../storage/operations/close-attempts.js';
import type { ClosedState } from './completion-batcher.js';

/** So many calls of a listener may be under way or waiting; what comes then it is not told. A claim and a flush can tell it of 1,024 in one turn. */
const MAX_BEHIND = 5_000;

interface Listener extends DiscoveredListener {
  behind: number;
  dropped: number;
}

/** Tells listeners what becomes of attempts. They are called in turns of the event loop of their own: the worker never waits for one. */
export class JobEvents {
  private readonly logger = new Logger('Awa events');
  private readonly listeners: readonly Listener[];
  private readonly startedAt = new WeakMap<ClaimedJob, number>();
  private readonly durations = new WeakMap<ClaimedJob, number>();
  private readonly underWay = new Set<Promise<void>>();

  constructor(listeners: readonly DiscoveredListener[] = []) {
    this.listeners = listeners.map((listener) => ({ ...listener, behind: 0, dropped: 0 }));
  }

  /** An attempt begins. */
  began(job: ClaimedJob): void {
    if (this.listeners.length === 0) return;
    this.startedAt.set(job, performance.now());
    this.tell(job, 'started', 'running', undefined);
  }

  /** Its handler has ended, or its attempt is over without it. Whatever comes first counts. */
  ended(job: ClaimedJob): void {
    const startedAt = this.startedAt.get(job);
    if (startedAt !== undefined && !this.durations.has(job))
      this.durations.set(job, performance.now() - startedAt);
  }

  /** Its end is durable. */
  closed(job: ClaimedJob, state: ClosedState, settlement: Settlement | undefined): void {
    if (this.listeners.length === 0 || state === 'stale' || state === 'running') return;
    this.tell(job, TYPES[state] ?? failure(settlement), state, settlement?.error);
  }

  /** Somebody has cancelled it. */
  cancelled(job: ClaimedJob): void {
    if (this.listeners.length === 0) return;
    this.ended(job);
    this.tell(job, 'cancelled', 'cancelled', undefined);
  }

  /** They were taken from processes that are gone. */
  rescued(attempts: readonly RescuedAttempt[]): void {
    for (const attempt of attempts) this.send({ ...attempt, type: 'rescued', waitMs: 0, durationMs: 0 });
  }

  /** Resolves when all listeners have ended that had been called. */
  async settled(): Promise<void> {
    while (this.underWay.size > 0) await Promise.all(this.underWay);
  }

  private tell(
    job: ClaimedJob,
    type: JobEventType,
    state: JobEvent['state'],
    error: string | undefined,
  ): void {
    this.send({
      type,
      jobId: job.jobId,
      kind: job.kind,
      queue: job.queue,
      attempt: job.attempt,
      maxAttempts: job.maxAttempts,
      runLease: job.runLease,
      state,
      error,
      waitMs: Math.max(job.claimedAt.getTime() - job.runAt.getTime(), 0),
      durationMs: this.durations.get(job) ?? 0,
    });
  }

  private send(event: JobEvent): void {
    Object.freeze(event);
    for (const listener of this.listeners) {
      if (!listener.types.includes(event.type)) continue;
      if (listener.queue !== undefined && listener.queue !== event.queue) continue;
      if (listener.kind !== undefined && listener.kind !== event.kind) continue;
      this.call(listener, event);
    }
  }

  private call(listener: Listener, event: JobEvent): void {
    if (listener.behind >= MAX_BEHIND) {
      if (listener.dropped++ === 0) {
        this.logger.warn(
          `${listener.name} is ${MAX_BEHIND} events behind: it is not told of further ones until it catches up`,
        );
      }
      return;
    }
    listener.behind += 1;
    const run = this.run(listener, event).finally(() => {
      listener.behind -= 1;
      this.underWay.delete(run);
      if (listener.behind > 0 || listener.dropped === 0) return;
      this.logger.warn(`${listener.name} has caught up; it was not told of ${listener.dropped} event(s)`);
      listener.dropped = 0;
    });
    this.underWay.add(run);
  }

  private async run({ name, call }: Listener, event: JobEvent): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    try {
      await call(event);
    } catch (error) {
      this.logger.error(`${name} failed at "${event.type}" of job ${event.jobId}: ${describeError(error)}`);
    }
  }
}

/** `failed` has two. */
const TYPES: Partial<Record<ClosedState, JobEventType>> = {
  completed: 'completed',
  retryable: 'retried',
  cancelled: 'cancelled',
  scheduled: 'snoozed',
  available: 'released',
};

function failure(settlement: Settlement | undefined): JobEventType {
  return settlement?.outcome === 'error' ? 'exhausted' : 'failed';
}
