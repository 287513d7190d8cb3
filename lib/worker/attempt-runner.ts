import { Logger } from '@nestjs/common';
import type { EntityManager, QueryRunner } from 'typeorm';
import { JobTimeoutError } from '../errors/index.js';
import type { ClaimedJob } from '../storage/operations/claim-jobs.js';
import type { AttemptCloser } from './attempt-closer.js';
import { type AttemptResult, RELEASED } from './attempt-result.js';
import type { AttemptStateWriter } from './attempt-state-writer.js';
import type { AttemptTransactions } from './attempt-transactions.js';
import { Attempt, ShutdownAbort } from './attempt.js';
import { Deadline } from './deadline.js';
import type { Executor } from './executor.js';
import type { JobEvents } from './job-events.js';
import type { Lingering } from './lingering.js';
import type { Timeouts } from './timeouts.js';
import { withTimeout } from './with-timeout.js';

/** After their signals have been aborted, handlers get so long to come back, in milliseconds. */
const ABORT_GRACE_MS = 1_000;

export interface AttemptRunnerOptions {
  readonly executor: Executor;
  readonly timeouts: Timeouts;
  readonly transactions: AttemptTransactions;
  readonly states: AttemptStateWriter;
  readonly closer: AttemptCloser;
  readonly events: JobEvents;
  readonly lingering: Lingering;
  /** The slot of a started job is free. */
  freeSlot(job: ClaimedJob): void;
}

/**
 * The first half of an attempt's life: from the start of a claimed job to a result.
 *
 * States: running -> finished, when its handler has ended; -> fenced, when it is over its time and its handler goes on; -> handed back,
 * when the process stops and its handler goes on. Once fenced or handed back it is abandoned: what its handler returns does not count.
 */
export class AttemptRunner {
  private readonly logger = new Logger('Awa worker');
  /** `completeIn` of the contexts. */
  private readonly completeIn = async (
    attempt: Attempt,
    transaction: EntityManager | QueryRunner,
  ): Promise<void> => {
    await this.options.transactions.completeIn(attempt, transaction);
    this.options.closer.expectCompletion(attempt);
  };
  private readonly attempts = new Set<Attempt>();
  /** Attempts that are over their time and on their way to the batcher. */
  private readonly fencing = new Set<Promise<void>>();
  private onIdle: (() => void) | undefined;
  private isHurried = false;

  constructor(private readonly options: AttemptRunnerOptions) {}

  /** The attempts under way. */
  get underWay(): ReadonlySet<Attempt> {
    return this.attempts;
  }

  /** The slot is free as soon as the result is known. */
  async run(job: ClaimedJob): Promise<void> {
    const { executor, states, events, lingering } = this.options;
    const attempt = new Attempt(job, states, this.completeIn);
    this.attempts.add(attempt);
    events.began(job);
    const deadline = this.watch(attempt);
    const result = await executor.run(attempt);
    deadline?.end();
    events.ended(job);
    if (deadline?.state === 'fenced') this.options.freeSlot(job);
    else if (deadline?.state === 'forsaken') lingering.return(job.queue);
    if (attempt.isAbandoned) return this.options.closer.outlived(attempt);
    if (result !== 'completed') await attempt.state.settled();
    attempt.state.close();
    if (!attempt.isAbandoned) this.finish(attempt, result);
    this.attempts.delete(attempt);
    this.tellIfIdle();
  }

  /** Others have taken over what runs here. */
  abort(reason: () => Error): void {
    for (const attempt of this.attempts) attempt.abort(reason());
  }

  /** Waits for the handlers, and hands back what does not end in time. */
  async drain(timeoutMs: number): Promise<void> {
    await this.waitForHandlers(timeoutMs);
    await withTimeout(Promise.all(this.fencing), ABORT_GRACE_MS);
  }

  /** Cuts the time short that drain() gives to handlers: they are aborted now. */
  hurry(): void {
    this.isHurried = true;
    this.onIdle?.();
  }

  /** What its handler does from now on is its own affair. */
  private abandon(attempt: Attempt): void {
    attempt.abandon();
    this.options.events.ended(attempt.job);
  }

  private finish(attempt: Attempt, result: AttemptResult): void {
    this.options.closer.close(attempt, result);
    this.options.freeSlot(attempt.job);
  }

  private watch(attempt: Attempt): Deadline | undefined {
    const { job } = attempt;
    const { timeouts, lingering } = this.options;
    const timeoutMs = timeouts.of(job);
    if (timeoutMs === undefined) return undefined;
    const error = new JobTimeoutError(timeoutMs);
    return new Deadline(timeoutMs, {
      onOverdue: () => attempt.abort(error),
      onFence: () => void this.fence(attempt, error),
      onForsake: () => {
        lingering.forsake(job.queue);
        this.options.freeSlot(job);
      },
      lingerMs: () => lingering.lingerMs(job.queue),
    });
  }

  /** The attempt is over, and its handler runs on, on its slot. */
  private async fence(attempt: Attempt, error: JobTimeoutError): Promise<void> {
    // Handed back meanwhile.
    if (attempt.isAbandoned) return;
    this.abandon(attempt);
    this.attempts.delete(attempt);
    const { job } = attempt;
    this.logger.error(
      `job ${job.jobId} (${job.kind}): its handler goes on after its time-out of ${error.timeoutMs} ms. It should end when its signal is aborted; until it does it keeps its slot, for a minute or longer`,
    );
    const settled = this.settleFenced(attempt, error);
    this.fencing.add(settled);
    await settled;
    this.fencing.delete(settled);
    this.tellIfIdle();
  }

  private async settleFenced(attempt: Attempt, error: JobTimeoutError): Promise<void> {
    const { state } = attempt;
    await state.settled();
    state.close();
    this.options.closer.closeFenced(attempt, this.options.executor.timedOut(attempt, error));
  }

  private async waitForHandlers(timeoutMs: number): Promise<void> {
    if (this.attempts.size > 0) this.logger.log(`waiting for ${this.attempts.size} job(s) to end`);
    if (!this.isHurried) await this.handlersEnded(timeoutMs);
    if (this.attempts.size === 0) return;
    this.logger.warn(`${this.attempts.size} job(s) still run: aborting them`);
    this.abort(() => new ShutdownAbort());
    if (await this.handlersEnded(ABORT_GRACE_MS)) return;
    this.logger.warn(`${this.attempts.size} job(s) did not stop: handing them back while they run on`);
    await withTimeout(this.options.states.flushed(), ABORT_GRACE_MS);
    for (const attempt of this.attempts) {
      this.abandon(attempt);
      attempt.state.close();
      this.finish(attempt, RELEASED);
    }
  }

  private handlersEnded(timeoutMs: number): Promise<boolean> {
    if (this.attempts.size === 0) return Promise.resolve(true);
    const ended = new Promise<void>((resolve) => {
      this.onIdle = resolve;
    });
    return withTimeout(ended, timeoutMs);
  }

  private tellIfIdle(): void {
    if (this.attempts.size === 0) this.onIdle?.();
  }
}
