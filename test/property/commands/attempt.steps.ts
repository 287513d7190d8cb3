import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import {
  type Claim,
  type ClaimedJob,
  claimJobs,
  type ClaimLimit,
} from '../../../lib/storage/operations/claim-jobs.js';
import type { AttemptOutcome } from '../../../lib/storage/operations/close-attempts.js';
import {
  type Closing,
  completeFreeAttempts,
  settleFreeAttempts,
} from '../../../lib/storage/operations/close-attempts.js';
import { saveAttemptStates } from '../../../lib/storage/operations/save-attempt-states.js';
import { SCHEMA } from '../../support/storage-fixture.js';
import { claimed, type Outcome, settle } from '../reference/attempts.js';
import { laneOf } from '../reference/job.js';
import { HOUR_MS, QUEUES } from '../reference/queues.js';
import type { RefAttempt, Reference } from '../reference/reference.js';
import type { Call, CallPlan } from './call.js';
import { anyQueue } from './enqueue.steps.js';
import { pick, pickSome, step } from './step.js';

const limitOf = (queue: fc.Arbitrary<string>) => fc.record({ queue, limit: fc.integer({ min: 1, max: 4 }) });

export const anyLimits: fc.Arbitrary<readonly ClaimLimit[]> = fc.oneof(
  fc.constant(QUEUES.map(({ name: queue }) => ({ queue, limit: 100 }))),
  fc.uniqueArray(limitOf(anyQueue), { minLength: 1, selector: ({ queue }) => queue }),
);

export const oneLimit: fc.Arbitrary<readonly ClaimLimit[]> = fc.tuple(limitOf(anyQueue));

export const claimFor = (id: string, limits: readonly ClaimLimit[]): Call => ({
  isClaim: true,
  send: async (_, port) => {
    const answer = await claimJobs(port, SCHEMA, id, limits).catch((error: unknown) => error as Error);
    return (now, isRaced) => judgeClaim(now, id, limits, answer, isRaced);
  },
});

export const claimCall = (anyOfThese: fc.Arbitrary<readonly ClaimLimit[]>): fc.Arbitrary<CallPlan> =>
  fc.record({ instance: fc.nat({ max: 2 }), limits: anyOfThese }).map(({ instance, limits }) => ({
    name: 'claim',
    args: { instance, limits },
    plan: (ref) => claimFor(pick(ref.instances, instance)!.id, limits),
  }));

function judgeClaim(
  ref: Reference,
  instanceId: string,
  limits: readonly ClaimLimit[],
  answer: Claim | Error,
  isRaced: boolean,
): void {
  const instance = ref.instanceNamed(instanceId);
  if (answer instanceof Error) {
    if (instance.state !== 'gone') throw answer;
    assert.equal((answer as { code?: unknown }).code, 'AW004');
    return;
  }
  assert.notEqual(instance.state, 'gone');
  const { jobs, contended, ...about } = answer;
  assert.deepEqual(about, { more: [], refused: [] });
  if (!isRaced) assert.deepEqual(contended, []);
  claimed(ref, instance, limits, jobs, isRaced);
  for (const got of jobs) {
    const { job } = ref.attemptNamed(got);
    const { attempt, maxAttempts, argsJson, priority, queue } = got;
    assert.deepEqual(
      { attempt, maxAttempts, args: JSON.parse(argsJson) as unknown, priority, queue },
      {
        attempt: job.attempt,
        maxAttempts: job.maxAttempts,
        args: job.args,
        priority: job.priority,
        queue: job.queue,
      },
    );
    assert.equal(got.uniqueKey === undefined, job.key === undefined);
  }
}

/** What is handed in, and compared: the attempt, and how it ended. */
interface Ending {
  readonly job: ClaimedJob;
  readonly outcome: Outcome;
  readonly hours: number;
}

const errorOf = (outcome: Outcome) => (outcome === 'error' || outcome === 'failed' ? 'why' : undefined);

export function judgeEndings(
  ref: Reference,
  endings: readonly Ending[],
  answers: readonly Closing[],
  isRaced: boolean,
): void {
  const [tick, xid] = [ref.nextTick(), ref.nextXid()];
  const expected = endings.map(({ job, outcome, hours }, index) => {
    // Somebody else was at the claim: the worker tries again.
    if (isRaced && answers[index] === 'busy') return 'busy';
    const hasError = errorOf(outcome) !== undefined;
    return settle(ref, ref.attemptNamed(job), outcome, { hours, tick, xid, hasError });
  });
  assert.deepEqual(answers, expected);
}

/** Some of the open attempts, or of all there ever were: then most answers are stale. */
export const someAttempts = fc.record({
  numbers: fc.array(fc.nat(), { minLength: 1, maxLength: 5 }),
  late: fc.constantFrom(false, false, true),
});

export function attemptsFor(
  ref: Reference,
  { numbers, late }: { numbers: number[]; late: boolean },
): RefAttempt[] {
  return pickSome(
    ref.attempts.filter(({ open }) => open || late),
    numbers,
  );
}

export function complete(attempts: readonly RefAttempt[]): Call | undefined {
  if (attempts.length === 0) return undefined;
  // The truth: a worker knows which of its attempts have saved something.
  const savers = new Set(attempts.filter(({ revision }) => revision > 0).map((attempt) => attempt.claimed));
  const jobs = attempts.map((attempt) => attempt.claimed);
  const endings = jobs.map((job): Ending => ({ job, outcome: 'completed', hours: 0 }));
  return {
    send: async (_, port) => {
      const answers = await completeFreeAttempts(port, SCHEMA, jobs, (job) => savers.has(job));
      return (now, isRaced) => judgeEndings(now, endings, answers, isRaced);
    },
  };
}

export const completeCall: fc.Arbitrary<CallPlan> = someAttempts.map((args) => ({
  name: 'complete',
  args,
  plan: (ref) => complete(attemptsFor(ref, args)),
}));

const OUTCOMES = [
  'error',
  'error',
  'failed',
  'snoozed',
  'released',
  'cancelled',
  'invalid',
  'timed_out',
] as const;

export const settleCall: fc.Arbitrary<CallPlan> = fc
  .record({
    attempts: someAttempts,
    outcomes: fc.array(fc.constantFrom<AttemptOutcome>(...OUTCOMES), { minLength: 5, maxLength: 5 }),
    hours: fc.constantFrom(0, 1, 2),
  })
  .map(({ attempts: which, outcomes, hours }) => ({
    name: 'settle',
    args: { ...which, outcomes: outcomes.slice(0, which.numbers.length), hours },
    plan: (ref) => {
      const attempts = attemptsFor(ref, which);
      if (attempts.length === 0) return undefined;
      const settlements = attempts.map(({ claimed: job }, index) => {
        const outcome = outcomes[index]!;
        return { job, outcome, hours, error: errorOf(outcome), delayMs: hours * HOUR_MS };
      });
      return {
        fills: [
          ...new Set(
            attempts
              .filter(({ open }, index) => open && outcomes[index] === 'released')
              .map(({ job }) => laneOf(job)),
          ),
        ],
        send: async (_, port) => {
          const answers = await settleFreeAttempts(port, SCHEMA, settlements);
          return (now, isRaced) => judgeEndings(now, settlements, answers, isRaced);
        },
      };
    },
  }));

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
