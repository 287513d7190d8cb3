import type { RingName } from '../../../lib/storage/operations/rings.js';
import { settle } from './attempts.js';
import { compareIds, type RefJob } from './job.js';
import { DEFAULT_DEAD_LETTER_HOURS, queueNamed } from './queues.js';
import type { Reference, RefAttempt } from './reference.js';

/** Moves the jobs that have been due for longest into their lanes. @returns how many. */
export function promote(ref: Reference, limit: number): number {
  const due = ref
    .in('scheduled', 'retryable')
    .filter((job) => job.due!.hour <= ref.hour)
    .sort((a, b) => a.due!.hour - b.due!.hour || a.due!.tick - b.due!.tick || compareIds(a.id, b.id))
    .slice(0, limit);
  const xid = due.length > 0 ? ref.nextXid() : 0;
  for (const job of due) ref.makeAvailable(job, xid);
  return due.length;
}

/** Ends the attempts of processes that are gone. @returns how many. */
export function rescue(ref: Reference): number {
  for (const instance of ref.instances) if (instance.state === 'silent') instance.state = 'gone';
  return endAll(
    ref,
    ref.attempts.filter(({ open, instance }) => open && instance.state === 'gone'),
    'lost',
  );
}

export function endAll(
  ref: Reference,
  attempts: readonly RefAttempt[],
  outcome: 'lost' | 'released',
): number {
  const [tick, xid] = [ref.nextTick(), ref.nextXid()];
  for (const attempt of attempts) settle(ref, attempt, outcome, { tick, xid, hasError: outcome === 'lost' });
  return attempts.length;
}

/** Whether something in a segment is still needed. */
export function isNeeded(ref: Reference, ring: RingName, generation: number, keepHours: number): boolean {
  return (
    ring === 'ready' &&
    ref.jobs.some(
      ({ state, row, completedHour }) =>
        row?.segment === generation &&
        (state === 'available' ||
          state === 'running' ||
          (state === 'completed' && ref.hour - completedHour! < keepHours)),
    )
  );
}

export function prune(ref: Reference, ring: RingName, generation: number): void {
  const isRecordOf = ({ state, row, doneSegment }: RefJob) =>
    ring === 'ready' ? state === 'completed' && row?.segment === generation : doneSegment === generation;
  if (ring !== 'claim') ref.jobs.filter(isRecordOf).forEach((job) => ref.forget(job));
  ref.rings.prune(ring, generation);
}

/** Deletes dead letters that have been kept for their time. @returns how many. */
export function purgeExpired(ref: Reference): number {
  const expired = ref.jobs.filter(
    ({ queue, deadHour }) =>
      deadHour !== undefined &&
      ref.hour - deadHour >= (queueNamed(queue).deadLetterHours ?? DEFAULT_DEAD_LETTER_HOURS),
  );
  for (const job of expired) ref.forget(job);
  return expired.length;
}
