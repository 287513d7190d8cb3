import type { JobState } from '../../../lib/storage/job-state.js';
import type { RefJob } from './job.js';
import type { Reference } from './reference.js';
import type { PendingJob, RefTransaction } from './transaction.js';

export interface EnqueueSpec {
  readonly queue: string;
  readonly priority: 1 | 2 | 3 | 4;
  /** The `k` of each job's arguments, which is its unique key if it has one. */
  readonly ks: readonly number[];
  readonly unique: boolean;
  /** Terminal states that keep the key. */
  readonly after: readonly JobState[];
  readonly delayHours: number;
  readonly maxAttempts: number;
  readonly orderingKey: string | undefined;
}

export interface ExpectedEnqueue {
  readonly job: RefJob;
  readonly deduplicated: boolean;
}

/** The key of a `k`. */
export const keyOf = (k: number): string => `k${k}`;

/** The slot of the transaction that has enqueued a job with the key, and is open: whoever takes the key now waits. */
export function pendingIn(ref: Reference, key: string, own?: RefTransaction): number | undefined {
  const holder = ref.keys.holder(key);
  const slot = ref.transactions.findIndex(
    (transaction) => transaction !== own && transaction?.jobs.some(({ job }) => job === holder),
  );
  return slot === -1 ? undefined : slot;
}

/**
 * Creates the jobs that get their keys. They are there when {@link place} has put them into their lanes, or when their transaction
 * commits.
 */
export function enqueue(ref: Reference, spec: EnqueueSpec, first = ref.jobs.length): ExpectedEnqueue[] {
  const tick = ref.nextTick();
  return spec.ks.map((k, index) => {
    const job: RefJob = {
      id: '',
      args: { k, n: first + index },
      key: spec.unique ? keyOf(k) : undefined,
      createdTick: tick,
      queue: spec.queue,
      priority: spec.priority,
      shard: 0,
      state: undefined,
      attempt: 0,
      maxAttempts: spec.maxAttempts,
      runLease: 0,
      errors: 0,
      checkpoint: null,
      row: undefined,
      due: undefined,
      completedHour: undefined,
      doneSegment: undefined,
      deadHour: undefined,
    };
    const holder = job.key === undefined ? job : ref.keys.take(job.key, job, spec.after);
    return { job: holder, deduplicated: holder !== job };
  });
}

/** The jobs have their ids and shards now. */
export function place(
  ref: Reference,
  jobs: readonly RefJob[],
  delayHours: number,
  transaction?: RefTransaction,
): void {
  ref.jobs.push(...jobs);
  const tick = ref.nextTick();
  const pending = jobs.map((job): PendingJob => ({
    job,
    hours: delayHours,
    hour: ref.hour,
    tick,
    segment: ref.rings.current('ready'),
  }));
  if (transaction === undefined) publish(ref, pending, ref.nextXid());
  else {
    transaction.xid ??= ref.nextXid();
    transaction.jobs.push(...pending);
  }
}

export function commit(ref: Reference, transaction: RefTransaction): void {
  if (transaction.xid !== undefined) publish(ref, transaction.jobs, transaction.xid);
}

/** Undoes what a transaction has enqueued, or the jobs after its first `keep`. */
export function rollBack(ref: Reference, transaction: RefTransaction, keep = 0): void {
  for (const { job } of transaction.jobs.splice(keep)) ref.forget(job);
}

function publish(ref: Reference, pending: readonly PendingJob[], xid: number): void {
  for (const { job, hours, hour, tick, segment } of pending) {
    if (hours > 0) {
      job.state = 'scheduled';
      job.due = { hour: hour + hours, tick };
      continue;
    }
    ref.rings.count('ready', segment, 1);
    job.state = 'available';
    job.row = { job, xid, segment };
    ref.lane(job).add(job.row);
  }
}
