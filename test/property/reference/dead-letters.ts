import { pendingIn } from './enqueue.js';
import type { RefJob } from './job.js';
import { queueNamed } from './queues.js';
import type { Reference } from './reference.js';

/** Whether a retry would wait for a transaction that is enqueuing the job's key. */
export function mustWait(ref: Reference, { key }: RefJob): boolean {
  return key !== undefined && pendingIn(ref, key) !== undefined;
}

/** Puts a dead letter back. @returns whether it is; false: it is none, or was cancelled, another job having its key. */
export function retry(ref: Reference, job: RefJob, queue: string | undefined, hours: number): boolean {
  if (job.deadHour === undefined) return false;
  if (job.key !== undefined && ref.keys.take(job.key, job, []) !== job) {
    job.errors += 1;
    ref.finish(job, 'cancelled');
    return false;
  }
  job.deadHour = undefined;
  job.attempt = 0;
  job.queue = queue ?? job.queue;
  job.shard = Math.min(job.shard, queueNamed(job.queue).shards - 1);
  if (hours > 0) ref.defer(job, 'scheduled', hours, ref.nextTick());
  else ref.makeAvailable(job, ref.nextXid());
  return true;
}

/** @returns whether it was one. */
export function purge(ref: Reference, job: RefJob): boolean {
  if (job.deadHour === undefined) return false;
  ref.forget(job);
  return true;
}

/** Makes a dead letter of a failed job. @returns whether it was one. */
export function moveFailed(ref: Reference, job: RefJob): boolean {
  if (job.state !== 'failed' || job.doneSegment === undefined) return false;
  ref.rings.count('done', job.doneSegment, -1);
  ref.bury(job);
  return true;
}
