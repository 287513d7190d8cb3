import { Logger } from '@nestjs/common';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { ClaimedJob } from '../../lib/storage/operations/claim-jobs.js';
import { FailureLog } from '../../lib/worker/failure-log.js';

describe('the log of failures', () => {
  let lines: string[];

  beforeEach(() => {
    vi.useFakeTimers();
    lines = [];
    for (const level of ['error', 'warn', 'log'] as const) {
      vi.spyOn(Logger.prototype, level).mockImplementation((message: unknown) => {
        lines.push(`${level}: ${String(message)}`);
      });
    }
  });

  afterEach(() => {
    vi.restoreAllMocks();
    vi.useRealTimers();
  });

  function fail(
    log: FailureLog,
    times: number,
    state: 'failed' | 'retryable' | 'cancelled',
    kind = 'k',
  ): void {
    const job = { jobId: '1', kind, attempt: 1, maxAttempts: 3 } as ClaimedJob;
    const settlement = { job, outcome: 'error', error: 'Error: no\n    at x', delayMs: undefined } as const;
    for (let time = 0; time < times; time++) log.closed(job, state, settlement);
  }

  it('has a line for each failure', () => {
    const log = new FailureLog();
    fail(log, 1, 'failed');
    fail(log, 1, 'retryable');
    fail(log, 1, 'cancelled');
    expect(lines).toEqual([
      'error: job 1 (k), attempt 1 of 3: failed for good: Error: no',
      'warn: job 1 (k), attempt 1 of 3: failed, will be tried again: Error: no',
      'log: job 1 (k), attempt 1 of 3: cancelled: Error: no',
    ]);
  });

  it('counts what comes in masses, and says so', () => {
    const log = new FailureLog();
    fail(log, 1_020, 'retryable');
    fail(log, 1, 'failed');
    fail(log, 1, 'retryable', 'other');
    expect(lines).toHaveLength(22);
    vi.advanceTimersByTime(1_000);
    expect(lines.slice(22)).toEqual([
      'warn: k, failed, will be tried again: 1000 more within a second, not logged one by one',
    ]);
    fail(log, 2, 'retryable');
    expect(lines).toHaveLength(25);
  });

  it('says at the end what it has not said', () => {
    const log = new FailureLog();
    fail(log, 25, 'failed');
    log.flush();
    log.flush();
    expect(lines.slice(20)).toEqual([
      'warn: k, failed for good: 5 more within a second, not logged one by one',
    ]);
    expect(vi.getTimerCount()).toBe(0);
  });
});
