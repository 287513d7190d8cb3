import type { RefJob } from './job.js';

/** An open transaction of an application: what it has enqueued, and nobody else sees. */
export interface RefTransaction {
  /** Undefined until it writes. */
  xid: number | undefined;
  readonly jobs: PendingJob[];
  /** How many jobs there were when the savepoint was set; undefined: there is none. */
  savepoint: number | undefined;
}

export interface PendingJob {
  readonly job: RefJob;
  /** Hours after which it is due; 0: it is claimable. */
  readonly hours: number;
  /** When the enqueue was, which says when it is due. */
  readonly hour: number;
  readonly tick: number;
  /** Segment of the ready ring that was written at the enqueue. */
  readonly segment: number;
}
