import type { ClaimedJob, ClaimRef } from '../storage/operations/claim-jobs.js';

/** The claims this process holds: those with attempts that are not yet closed in the database, as far as it knows. */
export class ClaimBook {
  private readonly open = new Map<ClaimRef, number>();

  add(jobs: readonly ClaimedJob[]): void {
    for (const { claim } of jobs) this.open.set(claim, (this.open.get(claim) ?? 0) + 1);
  }

  /** An attempt is closed for good. */
  close({ claim }: ClaimedJob): void {
    const left = (this.open.get(claim) ?? 1) - 1;
    if (left > 0) this.open.set(claim, left);
    else this.open.delete(claim);
  }

  get isEmpty(): boolean {
    return this.open.size === 0;
  }

  claims(): ClaimRef[] {
    return [...this.open.keys()];
  }
}
