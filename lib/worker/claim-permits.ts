import type { ClaimLimit } from '../storage/operations/claim-jobs.js';
import type { QueueSlots } from './queue-slots.js';
import { type RateLimit, TokenBucket } from './token-bucket.js';

/** Most jobs one claim takes from a lane (`claim_jobs` has the same cap). */
const MAX_CLAIM = 512;

/** The tokens of so many milliseconds are claimed for together. */
const TOKEN_PACE_MS = 20;

/** How many jobs may be claimed for a queue, and how many slots are reserved for them; the others are claimed ahead. */
export interface Permit extends ClaimLimit {
  readonly slots: number;
}

/** Takes what a claim needs before it begins: slots and tokens. What it did not use comes back at once. */
export class ClaimPermits {
  private readonly buckets = new Map<string, TokenBucket>();
  private readonly queues: readonly string[];

  constructor(
    queues: readonly { readonly name: string; readonly rateLimit: RateLimit | undefined }[],
    private readonly slots: QueueSlots,
    /** How many jobs of a queue may be claimed ahead of its slots; more when it is along with others. */
    private readonly prefetchRoom: (queue: string, isAlong: boolean) => number,
    now?: () => number,
  ) {
    this.queues = queues.map(({ name }) => name);
    for (const { name, rateLimit } of queues) {
      if (rateLimit !== undefined) this.buckets.set(name, new TokenBucket(rateLimit, now));
    }
  }

  /** What could be claimed now, of the queues that have room, or have some along with others; nothing is taken yet. */
  available(contending: ReadonlySet<string>, isAlong = false): Permit[] {
    // A queue without tokens must not be given slots that others could use.
    const able = new Set([...contending].filter((queue) => this.tokens(queue) > 0));
    const free = this.slots.free(able);
    return this.queues
      .map((queue) => {
        const slots = Math.min(free.get(queue) ?? 0, this.tokens(queue), MAX_CLAIM);
        const limit = Math.min(slots + this.prefetchRoom(queue, isAlong), MAX_CLAIM);
        return { queue, limit, slots };
      })
      .filter(({ limit }) => limit > 0);
  }

  /** Whether a job of the queue could be started or held, as far as its tokens go: cheaper than to ask what is available. */
  hasRoom(queue: string): boolean {
    return this.slots.canTake(queue) || this.prefetchRoom(queue, false) > 0;
  }

  take(permits: readonly Permit[]): void {
    for (const { queue, slots } of permits) {
      this.slots.reserve(queue, slots);
      this.buckets.get(queue)?.take(slots);
    }
  }

  /**
   * The claim has ended: its slots are free again for whatever it got, and the tokens for that are spent now, when it starts, and not
   * when the claim began: claims take longer at one time than at another, and starts would come closer together than tokens.
   */
  giveBack(permits: readonly Permit[], claimed: (queue: string) => number): void {
    for (const { queue, slots } of permits) {
      this.slots.unreserve(queue, slots);
      this.buckets.get(queue)?.giveBack(slots);
      this.buckets.get(queue)?.take(claimed(queue));
    }
  }

  /** A job of the queue was claimed and went back without having been run. */
  returned(queue: string): void {
    this.buckets.get(queue)?.giveBack(1);
  }

  /**
   * Milliseconds until tokens let one of these queues go on that has a slot; Infinity when none waits for that. For queues that
   * `available` has given nothing; a token may have come since, so that is not asked again.
   */
  tokensInMs(contending: ReadonlySet<string>): number {
    let first = Number.POSITIVE_INFINITY;
    for (const queue of contending) {
      const bucket = this.buckets.get(queue);
      if (bucket === undefined || !this.slots.canTake(queue)) continue;
      // Never 0, which would be a turn without a claim.
      first = Math.min(first, Math.max(bucket.readyInMs(TOKEN_PACE_MS), 1));
    }
    return first;
  }

  /** Whether jobs of the queue are counted by tokens. */
  isPaced(queue: string): boolean {
    return this.buckets.has(queue);
  }

  private tokens(queue: string): number {
    return this.buckets.get(queue)?.available ?? Number.POSITIVE_INFINITY;
  }
}
