import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import type { CancelOptions } from 'nestjs-awa';
import { settle } from '../reference/attempts.js';
import { keyOf, pendingIn } from '../reference/enqueue.js';
import { laneOf, type RefJob } from '../reference/job.js';
import { mustWait, moveFailed, purge, retry } from '../reference/dead-letters.js';
import { HOUR_MS } from '../reference/queues.js';
import type { Reference } from '../reference/reference.js';
import type { World } from '../world.js';
import type { Call, CallPlan } from './call.js';
import { anyK, anyQueue, Probe } from './enqueue.steps.js';
import { pick, step } from './step.js';

/** @returns what the engine has to answer. */
function cancel(ref: Reference, job: RefJob) {
  const { id: jobId, state } = job;
  const answer = (result: string, wasRunning = false) => ({ jobId, result, wasRunning });
  switch (state) {
    case undefined:
      return answer('not_found');
    case 'completed':
    case 'failed':
    case 'cancelled':
      return answer('finished');
    case 'running': {
      const [tick, xid] = [ref.nextTick(), ref.nextXid()];
      settle(ref, ref.attemptOf(job)!, 'cancelled', { tick, xid, hasError: true });
      return answer('cancelled', true);
    }
    default:
      ref.lane(job).remove(job);
      job.errors += 1;
      ref.finish(job, 'cancelled');
      return answer('cancelled');
  }
}

/** @param options with which transaction, if any */
export function cancelIn(
  ref: Reference,
  number: number,
  options: (world: World) => CancelOptions = () => ({}),
): Call | undefined {
  const id = pick(ref.jobs, number)?.id;
  if (id === undefined) return undefined;
  return {
    send: async (world) => {
      const answer = await world.queue.cancelJob(id, options(world));
      return (now) => assert.deepEqual(answer, cancel(now, now.jobNamed(id)));
    },
  };
}

export const cancelCall: fc.Arbitrary<CallPlan> = fc.nat().map((number) => ({
  name: 'cancel',
  args: { number },
  plan: (ref) => cancelIn(ref, number),
}));

export const cancelKeyCall: fc.Arbitrary<CallPlan> = anyK.map((k) => ({
  name: 'cancel by key',
  args: { k },
  plan: () => ({
    send: async ({ queue }) => {
      const answer = await queue.cancelUniqueJob(Probe, { k, n: 0 }, { unique: { args: ['k'] } });
      return (now, isRaced) => {
        // A job that had the key at the first look, and had ended at the second.
        if (isRaced && answer?.result === 'finished') {
          assert.deepEqual(answer, cancel(now, now.jobNamed(answer.jobId)));
          return;
        }
        const isPending = pendingIn(now, keyOf(k)) !== undefined;
        const holder = isPending ? undefined : now.keys.holder(keyOf(k));
        assert.deepEqual(answer, holder === undefined ? null : cancel(now, holder));
      };
    },
  }),
}));

export const pauseStep = fc
  .record({ name: anyQueue, pauses: fc.constantFrom(false, false, true) })
  .map(({ name, pauses }) =>
    step(
      pauses ? 'pause' : 'resume',
      { name },
      {
        // Where it changes something, and now and then where it does not.
        run: async (ref, { queues }) => {
          const { pausedAt } = await (pauses ? queues.pause(name) : queues.resume(name));
          assert.equal(pausedAt !== undefined, pauses);
          if (pauses) ref.paused.add(name);
          else ref.paused.delete(name);
        },
      },
    ),
  );

const waitingIn = (ref: Reference, name: string) =>
  ref.in('available', 'scheduled', 'retryable').filter(({ queue }) => queue === name);

export const drainStep = anyQueue.map((name) =>
  step(
    'drain',
    { name },
    {
      check: (ref) => waitingIn(ref, name).length > 0,
      run: async (ref, { queues }) => {
        const waiting = waitingIn(ref, name);
        assert.deepEqual(await queues.drain(name), { cancelled: waiting.length });
        for (const job of waiting) {
          // It was claimed for it, which costs it no attempt.
          if (job.state === 'available') {
            job.runLease += 1;
            ref.lane(job).remove(job);
            ref.rings.count('claim', ref.rings.current('claim'), 1);
          }
          job.errors += 1;
          ref.finish(job, 'cancelled');
        }
      },
    },
  ),
);

/** One in four times any job, which is mostly none. */
const dead = (ref: Reference, number: number): RefJob | undefined =>
  pick(number % 4 === 0 ? ref.jobs : ref.jobs.filter(({ deadHour }) => deadHour !== undefined), number);

export const retryCall: fc.Arbitrary<CallPlan> = fc
  .record({
    number: fc.nat(),
    queue: fc.option(anyQueue, { nil: undefined }),
    hours: fc.constantFrom(0, 0, 1),
  })
  .map(({ number, queue, hours }) => ({
    name: 'retry dead letter',
    args: { number, queue, hours },
    plan: (ref) => {
      const job = dead(ref, number);
      if (job === undefined || mustWait(ref, job)) return undefined;
      const { id } = job;
      return {
        fills: hours > 0 ? [] : [laneOf({ ...job, queue: queue ?? job.queue })],
        send: async ({ deadLetters }) => {
          const isBack = await deadLetters.retry(id, {
            ...(queue === undefined ? {} : { queue }),
            ...(hours > 0 ? { delay: hours * HOUR_MS } : {}),
          });
          return (now) => assert.equal(isBack, retry(now, now.jobNamed(id), queue, hours));
        },
      };
    },
  }));

export const purgeCall: fc.Arbitrary<CallPlan> = fc.nat().map((number) => ({
  name: 'purge dead letter',
  args: { number },
  plan: (ref) => {
    const id = dead(ref, number)?.id;
    if (id === undefined) return undefined;
    return {
      send: async ({ deadLetters }) => {
        const isGone = await deadLetters.purge(id);
        return (now) => assert.equal(isGone, purge(now, now.jobNamed(id)));
      },
    };
  },
}));

export const moveFailedStep = fc.nat().map((number) =>
  step(
    'move failed',
    { number },
    {
      check: (ref) => ref.in('failed').length > 0,
      run: async (ref, { deadLetters }) => {
        const job = pick(ref.in('failed'), number)!;
        const { done } = await deadLetters.moveFailed({ ids: [job.id] });
        assert.equal(done === 1, moveFailed(ref, job));
      },
    },
  ),
);
