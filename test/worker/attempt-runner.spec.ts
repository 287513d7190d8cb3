import { Logger } from '@nestjs/common';
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';

import type { ClaimedJob } from '../../lib/storage/operations/claim-jobs.js';
import type { SqlPort } from '../../lib/storage/sql-port.js';
import type { AttemptCloser } from '../../lib/worker/attempt-closer.js';
import type { AttemptResult } from '../../lib/worker/attempt-result.js';
import { AttemptRunner } from '../../lib/worker/attempt-runner.js';
import { AttemptStateWriter } from '../../lib/worker/attempt-state-writer.js';
import type { AttemptTransactions } from '../../lib/worker/attempt-transactions.js';
import type { Attempt } from '../../lib/worker/attempt.js';
import type { Executor } from '../../lib/worker/executor.js';
import { JobEvents } from '../../lib/worker/job-events.js';
import { Lingering } from '../../lib/worker/lingering.js';
import { Timeouts } from '../../lib/worker/timeouts.js';
import { SCHEMA } from '../support/storage-fixture.js';

/** So long that nothing is written before somebody waits for it, in milliseconds. */
const NEVER_MS = 3_600_000;

const JOB = {
  jobId: '1',
  queue: 'q',
  kind: 'k',
  runLease: 1,
  claim: { laneId: 1, claimSeq: '1' },
  item: 1,
} as ClaimedJob;

describe('the runner of attempts', () => {
  let steps: string[];
  let states: AttemptStateWriter;
  let lingering: Lingering;

  beforeAll(() => Logger.overrideLogger(false));

  beforeEach(() => {
    steps = [];
    lingering = new Lingering([{ name: 'q', maxWorkers: 1 }]);
    const port: SqlPort = {
      query: async <Row>() => {
        steps.push('saved');
        return [] as Row[];
      },
    };
    states = new AttemptStateWriter(port, SCHEMA, NEVER_MS);
    states.start();
  });

  afterEach(async () => {
    vi.useRealTimers();
    await states.stop();
  });

  function runner(run: (attempt: Attempt) => Promise<AttemptResult>, timeoutMs = 0): AttemptRunner {
    return new AttemptRunner({
      executor: { run, timedOut: () => ({ outcome: 'timed_out' }) } as unknown as Executor,
      timeouts: new Timeouts([{ name: 'q', timeoutMs }], []),
      transactions: {} as AttemptTransactions,
      states,
      closer: {
        close: (_: Attempt, result: AttemptResult) =>
          steps.push(result === 'completed' ? result : result.outcome),
        closeFenced: (_: Attempt, { outcome }: { outcome: string }) => steps.push(outcome),
        outlived: () => steps.push('outlived'),
      } as unknown as AttemptCloser,
      events: new JobEvents(),
      lingering,
      freeSlot: () => steps.push('slot'),
    });
  }

  it('stores what a deaf handler has said before it hands the job back', async () => {
    const running = runner(async ({ context }) => {
      context.setProgress(20);
      return new Promise(() => undefined);
    });
    void running.run(JOB);
    await running.drain(0);
    expect(steps).toEqual(['saved', 'released', 'slot']);
  });

  describe('of a handler that goes on after its time', () => {
    let end: (result: AttemptResult) => void;
    const deaf = () => new Promise<AttemptResult>((resolve) => (end = resolve));

    beforeEach(() => {
      vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    });

    it('keeps its slot until it comes back', async () => {
      const run = runner(deaf, 50).run(JOB);
      await vi.advanceTimersByTimeAsync(50 + 1_000);
      expect(steps).toEqual(['timed_out']);
      end('completed');
      await run;
      expect(steps).toEqual(['timed_out', 'slot', 'outlived']);
    });

    it('or for a minute, and for longer when there are more of them', async () => {
      const run = runner(deaf, 50).run(JOB);
      await vi.advanceTimersByTimeAsync(50 + 1_000 + 59_999);
      expect(steps).toEqual(['timed_out']);
      await vi.advanceTimersByTimeAsync(1);
      expect(steps).toEqual(['timed_out', 'slot']);
      expect(lingering.lingerMs('q')).toBe(120_000);
      end('completed');
      await run;
      expect(steps).toEqual(['timed_out', 'slot', 'outlived']);
      expect(lingering.lingerMs('q')).toBe(60_000);
    });
  });
});
