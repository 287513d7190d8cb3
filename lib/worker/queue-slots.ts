import type { ClaimLimit } from '../storage/operations/claim-jobs.js';

/** Most jobs one claim takes from a lane (`claim_jobs` has the same cap). */
const MAX_CLAIM = 512;

/** The worker slots of each queue in this process. A slot is taken before a claim and freed when the handler ends. */
export class QueueSlots {
  private readonly taken = new Map<string, number>();

  constructor(private readonly queues: readonly { readonly name: string; readonly maxWorkers: number }[]) {}

  /** The queues that have slots free, and how many jobs may be claimed for them at once. */
  free(): ClaimLimit[] {
    return this.queues
      .map(({ name, maxWorkers }) => ({
        queue: name,
        limit: Math.min(maxWorkers - (this.taken.get(name) ?? 0), MAX_CLAIM),
      }))
      .filter(({ limit }) => limit > 0);
  }

  take(queue: string, slots = 1): void {
    this.taken.set(queue, (this.taken.get(queue) ?? 0) + slots);
  }

  release(queue: string): void {
    this.take(queue, -1);
  }
}
