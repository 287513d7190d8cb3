import { Logger } from '@nestjs/common';
import type { ClaimedJob } from '../storage/operations/claim-jobs.js';
import type { Settlement } from '../storage/operations/close-attempts.js';
import type { ClosedState } from './completion-batcher.js';

/** Of a kind's attempts that came to the same end, so many are logged one by one in a period of so many milliseconds. */
const MAX_LINES = 20;
const PERIOD_MS = 1_000;

/** What an operator wants to see of an attempt that ended so. */
const ENDS: Partial<
  Record<ClosedState, { readonly level: 'error' | 'warn' | 'log'; readonly text: string }>
> = {
  failed: { level: 'error', text: 'failed for good' },
  retryable: { level: 'warn', text: 'failed, will be tried again' },
  cancelled: { level: 'log', text: 'cancelled' },
};

interface Period {
  readonly startedAt: number;
  lines: number;
  leftOut: number;
}

/**
 * Logs failures of attempts. A line is written before anything else goes on, and takes longer than everything else about the attempt:
 * when thousands fail in a second, the first ones are logged and the others counted.
 */
export class FailureLog {
  private readonly logger = new Logger('Awa jobs');
  private readonly periods = new Map<string, Period>();
  private timer: NodeJS.Timeout | undefined;

  closed(job: ClaimedJob, state: ClosedState, settlement: Settlement | undefined): void {
    const end = ENDS[state];
    if (end === undefined || settlement?.error === undefined || !this.mayLog(`${job.kind}, ${end.text}`))
      return;
    const [reason] = settlement.error.split('\n', 1);
    this.logger[end.level](
      `job ${job.jobId} (${job.kind}), attempt ${job.attempt} of ${job.maxAttempts}: ${end.text}: ${reason}`,
    );
  }

  /** Says how many were not logged so far. */
  flush(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    for (const [what, { leftOut }] of this.periods) {
      if (leftOut > 0) this.logger.warn(`${what}: ${leftOut} more within a second, not logged one by one`);
    }
    this.periods.clear();
  }

  private mayLog(what: string): boolean {
    const now = performance.now();
    let period = this.periods.get(what);
    if (period === undefined || (period.leftOut === 0 && now - period.startedAt >= PERIOD_MS)) {
      period = { startedAt: now, lines: 0, leftOut: 0 };
      this.periods.set(what, period);
    }
    if (period.lines < MAX_LINES) {
      period.lines += 1;
      return true;
    }
    period.leftOut += 1;
    this.timer ??= setTimeout(() => this.flush(), PERIOD_MS).unref();
    return false;
  }
}
