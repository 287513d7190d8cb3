/** What one process may do of a queue. */
export interface QueueLimits {
  readonly name: string;
  readonly maxWorkers: number;
}

/**
 * The worker slots of a process. A slot is free, reserved by a claim that is under way, or taken by a handler that runs.
 *
 * Slots are reserved before a claim, so that no job is claimed that nobody could run; with its answer the reservation ends,
 * and each job that starts takes one.
 */
export interface QueueSlots {
  /** Whether a job of the queue could start now. */
  canTake(queue: string): boolean;
  /**
   * How many jobs may be claimed for each queue at once, with enough slots for all of them together.
   *
   * @param contending the queues that may have work: slots that are for everybody are shared out among these
   */
  free(contending: ReadonlySet<string>): ReadonlyMap<string, number>;
  reserve(queue: string, slots: number): void;
  unreserve(queue: string, slots: number): void;
  /** A job starts. */
  take(queue: string): void;
  /** It has ended. */
  release(queue: string): void;
}

/** Each queue has slots of its own: `maxWorkers`. */
export class ReservedSlots implements QueueSlots {
  private readonly used = new Map<string, number>();
  private readonly most: ReadonlyMap<string, number>;

  constructor(queues: readonly QueueLimits[]) {
    this.most = new Map(queues.map(({ name, maxWorkers }) => [name, maxWorkers]));
  }

  canTake(queue: string): boolean {
    return this.left(queue) > 0;
  }

  free(): ReadonlyMap<string, number> {
    return new Map([...this.most.keys()].map((queue) => [queue, Math.max(this.left(queue), 0)]));
  }

  reserve(queue: string, slots: number): void {
    this.used.set(queue, (this.used.get(queue) ?? 0) + slots);
  }

  unreserve(queue: string, slots: number): void {
    this.reserve(queue, -slots);
  }

  take(queue: string): void {
    this.reserve(queue, 1);
  }

  release(queue: string): void {
    this.reserve(queue, -1);
  }

  private left(queue: string): number {
    return (this.most.get(queue) ?? 0) - (this.used.get(queue) ?? 0);
  }
}
