import assert from 'node:assert/strict';
import type { JobState } from '../../../lib/storage/job-state.js';
import type { ClaimedJob, ClaimLimit } from '../../../lib/storage/operations/claim-jobs.js';
import type { AttemptOutcome } from '../../../lib/storage/operations/close-attempts.js';
import type { RefJob } from './job.js';
import { queueNamed } from './queues.js';
import type { RefAttempt, Reference, RefInstance } from './reference.js';

export type Outcome = AttemptOutcome | 'completed' | 'lost' | 'drained';

/**
 * Checks what a claim got against what it may have got, and hands it out.
 *
 * @param isRaced lanes may have been left out, because somebody else had them
 */
export function claimed(
  ref: Reference,
  instance: RefInstance,
  limits: readonly ClaimLimit[],
  got: readonly ClaimedJob[],
  isRaced = false,
): void {
  for (const { queue, limit } of limits) {
    const jobs = got.filter((job) => job.queue === queue);
    if (ref.paused.has(queue)) assert.deepEqual(jobs, [], `queue "${queue}" is paused`);
    else claimedOf(ref, instance, queue, limit, jobs, isRaced);
  }
  if (got.length > 0) ref.rings.count('claim', ref.rings.current('claim'), 1);
}

/**
 * As many as the limit, or all there are; of each lane its next, in their order; and where nobody ages, the more urgent lanes first.
 * Which of the shards comes first is open.
 */
function claimedOf(
  ref: Reference,
  instance: RefInstance,
  queue: string,
  limit: number,
  got: readonly ClaimedJob[],
  isRaced: boolean,
): void {
  let left = limit;
  for (const priority of [1, 2, 3, 4]) {
    const lanes = ref.lanesOf(queue, priority);
    const ofPriority = got.filter((job) => job.priority === priority);
    if (queueNamed(queue).aging === 0 && !isRaced) {
      const waiting = lanes.reduce((sum, { size }) => sum + size, 0);
      assert.equal(ofPriority.length, Math.min(left, waiting), `priority ${priority} of "${queue}"`);
    }
    left -= ofPriority.length;
    const shardOf = (job: ClaimedJob) => ref.jobs.find(({ id }) => id === job.jobId)?.shard;
    for (const [shard, lane] of lanes.entries()) {
      const ofLane = ofPriority.filter((job) => shardOf(job) === shard);
      const expected = lane.take(ofLane.length);
      assert.deepEqual(
        ofLane.map(({ jobId }) => jobId),
        expected.map(({ id }) => id),
        `lane ${queue}/${priority}/${shard}`,
      );
      for (const [index, job] of expected.entries()) start(ref, instance, job, ofLane[index]!);
    }
  }
  const rest = [1, 2, 3, 4].flatMap((priority) => ref.lanesOf(queue, priority));
  const size = rest.reduce((sum, lane) => sum + lane.size, 0);
  assert.ok(got.length <= limit, `at most ${limit} of "${queue}", not ${got.length}`);
  assert.ok(left === 0 || size === 0 || isRaced, `"${queue}" has ${size} more jobs, and ${left} would fit`);
}

function start(ref: Reference, instance: RefInstance, job: RefJob, as: ClaimedJob): void {
  job.state = 'running';
  job.attempt += 1;
  job.runLease += 1;
  ref.attempts.push({ job, claimed: as, instance, open: true, revision: 0 });
}

/** @returns the state of the job afterwards; `stale`: somebody else has ended the attempt. */
export function settle(
  ref: Reference,
  attempt: RefAttempt,
  outcome: Outcome,
  {
    hours = 0,
    tick,
    xid,
    hasError = false,
  }: { hours?: number; tick: number; xid: number; hasError?: boolean },
): JobState | 'stale' {
  const { job } = attempt;
  if (!attempt.open) return 'stale';
  attempt.open = false;
  if (['snoozed', 'released', 'invalid', 'drained'].includes(outcome)) job.attempt -= 1;
  if (hasError) job.errors += 1;
  switch (outcome) {
    case 'completed':
      job.state = 'completed';
      job.completedHour = ref.hour;
      ref.keys.end(job, 'completed');
      break;
    case 'error':
    case 'timed_out':
    case 'lost':
      if (job.attempt < job.maxAttempts) ref.defer(job, 'retryable', hours, tick);
      else ref.fail(job);
      break;
    case 'failed':
    case 'invalid':
      ref.fail(job);
      break;
    case 'snoozed':
      ref.defer(job, 'scheduled', hours, tick);
      break;
    case 'released':
      ref.makeAvailable(job, xid);
      break;
    case 'cancelled':
    case 'drained':
      ref.finish(job, 'cancelled');
  }
  return job.state as JobState;
}
