import type { JobState } from '../../../lib/storage/job-state.js';
import type { RefJob } from './job.js';

interface Held {
  readonly job: RefJob;
  /** Terminal states in which the job keeps the key. */
  readonly after: readonly JobState[];
}

/** Who holds which unique key. */
export class Keys {
  private readonly held = new Map<string, Held>();

  holder(key: string): RefJob | undefined {
    return this.held.get(key)?.job;
  }

  /** @returns who has the key after it. */
  take(key: string, job: RefJob, after: readonly JobState[]): RefJob {
    const holder = this.holder(key);
    if (holder === undefined) this.held.set(key, { job, after });
    return holder ?? job;
  }

  /** The job has ended. */
  end(job: RefJob, state: JobState): void {
    if (this.isHolder(job) && !this.held.get(job.key!)!.after.includes(state)) this.held.delete(job.key!);
  }

  /** The job's record is gone, or the enqueue was undone. */
  drop(job: RefJob): void {
    if (this.isHolder(job)) this.held.delete(job.key!);
  }

  entries(): [key: string, job: RefJob][] {
    return [...this.held].map(([key, { job }]) => [key, job]);
  }

  private isHolder(job: RefJob): boolean {
    return job.key !== undefined && this.holder(job.key) === job;
  }
}
