import type { JobState } from '../../../lib/storage/job-state.js';

/** A runnable row of a job: where it stands in line, and in which segment it lies. */
export interface RefRow {
  readonly job: RefJob;
  /** Number of the transaction that wrote it, in the order of their first writes. */
  xid: number;
  /** Generation of the ready ring. */
  readonly segment: number;
}

/** A job as the reference sees it. */
export interface RefJob {
  /** As the engine gave it. */
  id: string;
  readonly args: { readonly k: number; readonly n: number };
  readonly key: string | undefined;
  readonly createdTick: number;
  queue: string;
  readonly priority: number;
  shard: number;
  /** Undefined: not to be seen, since it is not committed, or no longer kept. */
  state: JobState | undefined;
  attempt: number;
  maxAttempts: number;
  runLease: number;
  errors: number;
  checkpoint: number | null;
  /** Of the newest attempt that waits, runs or was completed. */
  row: RefRow | undefined;
  /** When a deferred job is due. */
  due: { readonly hour: number; readonly tick: number } | undefined;
  completedHour: number | undefined;
  /** Generation of the done ring in which the record lies. */
  doneSegment: number | undefined;
  /** Since which hour it is a dead letter. */
  deadHour: number | undefined;
}

export const laneOf = ({ queue, priority, shard }: Pick<RefJob, 'queue' | 'priority' | 'shard'>): string =>
  `${queue}/${priority}/${shard}`;

/** Decimal strings, by their value. */
export const compareIds = (a: string, b: string): number =>
  a.length - b.length || (a < b ? -1 : Number(a > b));
