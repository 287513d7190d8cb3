import { Logger } from '@nestjs/common';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

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

const JOB = { jobId: '1', runLease: 1, claim: { laneId: 1, claimSeq: '1' }, item: 1 } as ClaimedJob;

describe('the runner of attempts', () => {
  let steps: string[];
  let states: AttemptStateWriter;

  beforeAll(() => Logger.overrideLogger(false));

  beforeEach(() => {
    steps = [];
    const port: SqlPort = {
      query: async <Row>() => {
        steps.push('saved');
        return [] as Row[];
      },
    };
    states = new AttemptStateWriter(port, SCHEMA, NEVER_MS);
    states.start();
  });

  afterEach(async () => states.stop());

  function runner(run: (attempt: Attempt) => Promise<AttemptResult>): AttemptRunner {
    return new AttemptRunner({
      executor: { run } as unknown as Executor,
      timeouts: new Timeouts([], []),
      transactions: {} as AttemptTransactions,
      states,
      closer: {
        close: (_: Attempt, result: AttemptResult) =>
          steps.push(result === 'completed' ? result : result.outcome),
      } as unknown as AttemptCloser,
      events: new JobEvents(),
      lingering: new Lingering([]),
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
});
