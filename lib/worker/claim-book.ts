import type { ClaimedJob, ClaimRef } from '../storage/operations/claim-jobs.js';

/** The claims this process holds: those with attempts that are not yet closed in the database, as far as it knows. */
export class ClaimBook {
  private readonly open = new Map<ClaimRef, Set<number>>();

  add(jobs: readonly ClaimedJob[]): void {
    for (const { claim, item } of jobs) {
      const items = this.open.get(claim) ?? new Set();
      items.add(item);
      this.open.set(claim, items);
    }
  }

  /** An attempt is closed for good. */
  close({ claim, item }: ClaimedJob): void {
    const items = this.open.get(claim);
    items?.delete(item);
    if (items?.size === 0) this.open.delete(claim);
  }

  claims(): ClaimRef[] {
    return [...this.open.keys()];
  }
}
