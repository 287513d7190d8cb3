import { compareIds, type RefJob, type RefRow } from './job.js';

/**
 * The order of a lane, as it is promised: what is visible when a look begins is one batch, sorted by (transaction, job); the next
 * batch is made when this one is used up, of all that has become visible since. So nothing waits for a transaction that is
 * open, and what commits late comes before what was written later, unless that had been looked at already.
 */
export class Lane {
  private batch: RefRow[] = [];
  private arrivals: RefRow[] = [];

  get size(): number {
    return this.batch.length + this.arrivals.length;
  }

  add(row: RefRow): void {
    this.arrivals.push(row);
  }

  /** Of a job that is not to be claimed any more. */
  remove(job: RefJob): void {
    this.batch = this.batch.filter((row) => row.job !== job);
    this.arrivals = this.arrivals.filter((row) => row.job !== job);
  }

  /** The next of the lane, fewer where there are no more. */
  take(limit: number): RefJob[] {
    const taken = this.batch.splice(0, limit);
    if (taken.length < limit) {
      this.batch = this.arrivals.sort((a, b) => a.xid - b.xid || compareIds(a.job.id, b.job.id));
      this.arrivals = [];
      taken.push(...this.batch.splice(0, limit - taken.length));
    }
    return taken.map(({ job }) => job);
  }
}
