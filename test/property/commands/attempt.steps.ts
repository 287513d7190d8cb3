import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import { claimJobs } from '../../../lib/storage/operations/claim-jobs.js';
import type { AttemptOutcome } from '../../../lib/storage/operations/close-attempts.js';
import {
  completeFreeAttempts,
  settleFreeAttempts,
} from '../../../lib/storage/operations/close-free-attempts.js';
import { saveAttemptStates } from '../../../lib/storage/operations/save-attempt-states.js';
import { SCHEMA } from '../../support/storage-fixture.js';
import { claimed, settle } from '../reference/attempts.js';
import { HOUR_MS, QUEUES } from '../reference/queues.js';
import { anyQueue } from './enqueue.steps.js';
import { pick, pickSome, step } from './step.js';

const limits = fc.oneof(
  fc.constant(QUEUES.map(({ name: queue }) => ({ queue, limit: 100 }))),
  fc.uniqueArray(fc.record({ queue: anyQueue, limit: fc.integer({ min: 1, max: 4 }) }), {
    minLength: 1,
    selector: ({ queue }) => queue,
  }),
);

export const claimStep = fc.record({ instance: fc.nat({ max: 2 }), limits }).map((args) =>
  step('claim', args, {
    run: async (ref, { port }) => {
      const instance = pick(ref.instances, args.instance)!;
      const claim = claimJobs(port, SCHEMA, instance.id, args.limits);
      if (instance.state === 'gone') {
        await assert.rejects(claim, { code: 'AW004' });
        return;
      }
      const { jobs, ...about } = await claim;
      assert.deepEqual(about, { more: [], contended: [], refused: [] });
      claimed(ref, instance, args.limits, jobs);
      for (const { job, claimed: got } of jobs.length === 0 ? [] : ref.attempts.slice(-jobs.length)) {
        const { attempt, runLease, maxAttempts, argsJson, priority, queue } = got;
        assert.deepEqual(
          { attempt, runLease, maxAttempts, args: JSON.parse(argsJson) as unknown, priority, queue },
          {
            attempt: job.attempt,
            runLease: job.runLease,
            maxAttempts: job.maxAttempts,
            args: job.args,
            priority: job.priority,
            queue: job.queue,
          },
        );
        assert.equal(got.uniqueKey === undefined, job.key === undefined);
      }
    },
  }),
);

const anyOutcome = fc.record({
  number: fc.nat(),
  outcome: fc.constantFrom<AttemptOutcome | 'completed'>(
    'completed',
    'completed',
    'error',
    'error',
    'failed',
    'snoozed',
    'released',
    'cancelled',
    'invalid',
    'timed_out',
  ),
  hours: fc.constantFrom(0, 1, 2),
});

/** Some of the open attempts, or of all there ever were: then most answers are stale. */
export const answerStep = fc
  .record({
    answers: fc.array(anyOutcome, { minLength: 1, maxLength: 5 }),
    late: fc.constantFrom(false, false, true),
  })
  .map(({ answers, late }) =>
    step(
      'answer',
      { answers, late },
      {
        check: (ref) => ref.attempts.some(({ open }) => open || late),
        run: async (ref, { port }) => {
          const attempts = ref.attempts.filter(({ open }) => open || late);
          const given = pickSome(
            attempts,
            answers.map(({ number }) => number),
          ).map((attempt, index) => ({
            attempt,
            ...answers[index]!,
          }));
          const done = given.filter(({ outcome }) => outcome === 'completed');
          const others = given.filter(({ outcome }) => outcome !== 'completed');
          const wereOpen = new Set(given.map(({ attempt }) => attempt).filter(({ open }) => open));
          const expect = (some: typeof given) => {
            const [tick, xid] = [ref.nextTick(), ref.nextXid()];
            return some.map(({ attempt, outcome, hours }) =>
              settle(ref, attempt, outcome, {
                hours,
                tick,
                xid,
                hasError: outcome === 'error' || outcome === 'failed',
              }),
            );
          };
          const completions = await completeFreeAttempts(
            port,
            SCHEMA,
            done.map(({ attempt }) => attempt.claimed),
            // The truth: a worker knows which of its attempts have saved something.
            (job) => ref.attempts.some((attempt) => attempt.claimed === job && attempt.revision > 0),
          );
          assert.deepEqual(completions, expect(done));
          const settlements = await settleFreeAttempts(
            port,
            SCHEMA,
            others.map(({ attempt, outcome, hours }) => ({
              job: attempt.claimed,
              outcome: outcome as AttemptOutcome,
              error: outcome === 'error' || outcome === 'failed' ? 'why' : undefined,
              delayMs: hours * HOUR_MS,
            })),
          );
          assert.deepEqual(settlements, expect(others));
          assert.ok([...wereOpen].every(({ open }) => !open));
        },
      },
    ),
  );

/** A checkpoint of an attempt that may be over. */
export const saveStep = fc.record({ number: fc.nat(), value: fc.nat({ max: 99 }) }).map(({ number, value }) =>
  step(
    'save',
    { number, value },
    {
      check: (ref) => ref.attempts.length > 0,
      run: async (ref, { port }) => {
        const attempt = pick(ref.attempts, number)!;
        attempt.revision += 1;
        const change = {
          job: attempt.claimed,
          revision: attempt.revision,
          progress: undefined,
          checkpointJson: JSON.stringify(value),
        };
        assert.deepEqual(await saveAttemptStates(port, SCHEMA, [change]), [attempt.open ? 'saved' : 'stale']);
        if (attempt.open) attempt.job.checkpoint = value;
      },
    },
  ),
);
