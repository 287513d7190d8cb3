import { StaleAttemptError } from '../errors/index.js';
import { closedAttempts } from '../storage/operations/closed-attempts.js';
import type { ClaimedJob } from '../storage/operations/claim-jobs.js';
import type { SchemaName } from '../storage/schema-name.js';
import type { SqlPort } from '../storage/sql-port.js';
import { type Attempt, CancelledAbort } from './attempt.js';
import { SupervisedLoop } from './supervised-loop.js';

/** How often to look for cancelled attempts while nobody can tell us of them, and otherwise; in milliseconds. */
const POLL_MS = 500;
const SLOW_POLL_MS = 10_000;

export interface CancellerOptions {
  /** The attempts under way in this process. */
  attempts(): Iterable<Attempt>;
  /** Whether notifications arrive. */
  isListening(): boolean;
  /** Told once of each cancelled attempt. */
  onCancelled(job: ClaimedJob): void;
}

/**
 * Aborts attempts of this process that somebody else has ended. A cancellation is announced by NOTIFY; this looks for what was
 * not: twice a second while nothing is heard, once when it is heard again, and now and then, since other ends (a rescue, a
 * time-out that the database enforced) are not announced. Without running attempts it asks nothing.
 */
export class Canceller {
  private readonly loop = new SupervisedLoop('cancellation', () => this.turn());
  private hasMissedNothing = true;
  private lastLookAt = performance.now();

  constructor(
    private readonly port: SqlPort,
    private readonly schema: SchemaName,
    private readonly options: CancellerOptions,
  ) {}

  start(): void {
    this.loop.start();
  }

  stop(): Promise<void> {
    return this.loop.stop();
  }

  /** Somebody has cancelled the job. */
  cancel(jobId: string, runLease: number): void {
    for (const attempt of this.options.attempts()) {
      if (attempt.job.jobId === jobId && attempt.job.runLease === runLease) this.abort(attempt);
    }
  }

  private abort(attempt: Attempt): void {
    if (attempt.isAborted) return;
    attempt.abort(new CancelledAbort());
    this.options.onCancelled(attempt.job);
  }

  private async turn(): Promise<number> {
    const isListening = this.options.isListening();
    const isOverdue = performance.now() - this.lastLookAt >= SLOW_POLL_MS;
    if (!isListening) this.hasMissedNothing = false;
    if (this.hasMissedNothing && !isOverdue) return POLL_MS;
    await this.look();
    this.hasMissedNothing = isListening;
    return POLL_MS;
  }

  private async look(): Promise<void> {
    const attempts = new Map([...this.options.attempts()].map((attempt) => [attempt.job, attempt]));
    if (attempts.size > 0) {
      const closed = await closedAttempts(this.port, this.schema, [...attempts.keys()]);
      for (const { job, outcome } of closed) {
        const attempt = attempts.get(job);
        if (attempt === undefined) continue;
        if (outcome === 'cancelled') this.abort(attempt);
        else attempt.abort(new StaleAttemptError(job.jobId, job.runLease));
      }
    }
    this.lastLookAt = performance.now();
  }
}
