import type { JobState } from '../../../lib/storage/job-state.js';
import type { ClaimedJob } from '../../../lib/storage/operations/claim-jobs.js';
import { type RefJob, laneOf } from './job.js';
import { Keys } from './keys.js';
import { Lane } from './lane.js';
import { queueNamed } from './queues.js';
import { Rings } from './rings.js';
import type { RefTransaction } from './transaction.js';

/** One claimed attempt, as the worker got it. */
export interface RefAttempt {
  readonly job: RefJob;
  readonly claimed: ClaimedJob;
  readonly instance: RefInstance;
  open: boolean;
  /** Changes of its state so far. */
  revision: number;
}

export interface RefInstance {
  id: string;
  /** `silent`: without heartbeat, and not yet struck off. */
  state: 'alive' | 'silent' | 'gone';
}

/**
 * The queue in memory: what it has to do, without how. The commands tell it what they do to the engine, and compare what it
 * expects. It learns two things from the engine, which may choose them: ids, and the shard of a job without an ordering key.
 */
export class Reference {
  readonly jobs: RefJob[] = [];
  readonly attempts: RefAttempt[] = [];
  readonly keys = new Keys();
  readonly rings = new Rings();
  readonly paused = new Set<string>();
  readonly transactions: (RefTransaction | undefined)[] = [undefined, undefined, undefined];
  private readonly lanes = new Map<string, Lane>();
  private xids = 0;
  private ticks = 0;
  /** Time goes on by hours only, and when told to. */
  hour = 0;

  constructor(readonly instances: readonly RefInstance[]) {}

  /** One for each transaction, at its first write. */
  nextXid(): number {
    return ++this.xids;
  }

  /** One for each operation: the order in which things happened within an hour. */
  nextTick(): number {
    return ++this.ticks;
  }

  lane(job: Pick<RefJob, 'queue' | 'priority' | 'shard'>): Lane {
    const name = laneOf(job);
    const lane = this.lanes.get(name) ?? new Lane();
    this.lanes.set(name, lane);
    return lane;
  }

  lanesOf(queue: string, priority: number): Lane[] {
    return Array.from({ length: queueNamed(queue).shards }, (_, shard) =>
      this.lane({ queue, priority, shard }),
    );
  }

  attemptOf(job: RefJob): RefAttempt | undefined {
    return this.attempts.find((attempt) => attempt.open && attempt.job === job);
  }

  /** By the names that the engine has for it. */
  attemptNamed({ jobId, runLease }: Pick<ClaimedJob, 'jobId' | 'runLease'>): RefAttempt {
    return this.attempts.find(({ claimed }) => claimed.jobId === jobId && claimed.runLease === runLease)!;
  }

  jobNamed(id: string): RefJob {
    return this.jobs.find((job) => job.id === id)!;
  }

  instanceNamed(id: string): RefInstance {
    return this.instances.find((instance) => instance.id === id)!;
  }

  in(...states: JobState[]): RefJob[] {
    return this.jobs.filter(({ state }) => state !== undefined && states.includes(state));
  }

  /** The job goes to the end of its lane. */
  makeAvailable(job: RefJob, xid: number): void {
    const segment = this.rings.current('ready');
    this.rings.count('ready', segment, 1);
    job.state = 'available';
    job.due = undefined;
    job.row = { job, xid, segment };
    this.lane(job).add(job.row);
  }

  defer(job: RefJob, state: 'scheduled' | 'retryable', hours: number, tick: number): void {
    job.state = state;
    job.due = { hour: this.hour + hours, tick };
  }

  /** The job is cancelled, or has failed without becoming a dead letter. */
  finish(job: RefJob, state: 'failed' | 'cancelled'): void {
    const segment = this.rings.current('done');
    this.rings.count('done', segment, 1);
    job.state = state;
    job.due = undefined;
    job.deadHour = undefined;
    job.doneSegment = segment;
    this.keys.end(job, state);
  }

  fail(job: RefJob): void {
    if (queueNamed(job.queue).deadLetterHours === undefined) this.finish(job, 'failed');
    else this.bury(job);
  }

  /** Makes it a dead letter. */
  bury(job: RefJob): void {
    job.state = 'failed';
    job.deadHour = this.hour;
    job.doneSegment = undefined;
    this.keys.end(job, 'failed');
  }

  /** Nothing tells of the job any more. */
  forget(job: RefJob): void {
    job.state = undefined;
    job.row = undefined;
    job.doneSegment = undefined;
    job.deadHour = undefined;
    this.keys.drop(job);
  }
}
