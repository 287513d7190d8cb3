/** What the claimer knows of the work in one queue. */
interface Look {
  /** More is known, or was announced, to be there. */
  mayHaveMore: boolean;
  /** Announced since the last look began, so that this may not have seen it. */
  announced: boolean;
  /** When to look though nothing was announced. */
  pollAt: number;
  /** Looks in a row that found nothing. */
  idle: number;
}

/** What a look at a queue brought. */
export interface LookResult {
  readonly jobs: number;
  /** It took all that it was allowed to, or was cut short: the rest waits for the next look. */
  readonly wasFull: boolean;
  /** Others were claiming from lanes with jobs. */
  readonly wasContended: boolean;
  /** Only others may claim from it now. */
  readonly wasRefused: boolean;
}

/**
 * An idle poll backs off to so many poll intervals, step by step; where notifications are known to come, twice as far at each step. Those
 * tell of all new work: the poll is for what a listener has missed that does not know yet that it is cut off.
 */
const MAX_IDLE_FACTOR = 10;
const MAX_HEARING_FACTOR = 25;

/** Somebody else was claiming from the lanes that have jobs: look again after so many milliseconds, and up to as many more. */
const CONTENDED_RETRY_MS = 5;

/**
 * When to look at which queue. A queue is due when it was announced to have work, when its last look left some, and when its
 * poll comes round. An announcement during a look is kept for the next one.
 */
export class QueueLooks {
  private readonly looks: ReadonlyMap<string, Look>;

  constructor(
    queues: readonly string[],
    private readonly pollIntervalMs: number,
    /** Whether notifications arrive. When they do so no longer, that is announced here. */
    private readonly hearsNotifications: () => boolean = () => false,
    private readonly now: () => number = () => performance.now(),
  ) {
    this.looks = new Map(
      queues.map((name) => [name, { mayHaveMore: true, announced: false, pollAt: 0, idle: 0 }]),
    );
  }

  /** There may be work in the queue, or in any. */
  announce(queue?: string): void {
    for (const [name, look] of this.looks) {
      if (queue !== undefined && queue !== name) continue;
      look.mayHaveMore = true;
      look.announced = true;
      look.idle = 0;
    }
  }

  isDue(queue: string): boolean {
    const look = this.looks.get(queue);
    return look !== undefined && (look.mayHaveMore || look.pollAt <= this.now());
  }

  /** Whether one of those that fit is due. */
  isAnyDue(fits: (queue: string) => boolean): boolean {
    for (const queue of this.looks.keys()) if (fits(queue) && this.isDue(queue)) return true;
    return false;
  }

  due(): Set<string> {
    return new Set([...this.looks.keys()].filter((queue) => this.isDue(queue)));
  }

  /** A look at the queue begins. */
  begin(queue: string): void {
    const look = this.looks.get(queue);
    if (look !== undefined) look.announced = false;
  }

  end(queue: string, { jobs, wasFull, wasContended, wasRefused }: LookResult): void {
    const look = this.looks.get(queue);
    if (look === undefined) return;
    // Work that others claim now may be ours at the next look: not a reason to look less often.
    look.idle = jobs > 0 || wasRefused || wasContended ? 0 : look.idle + 1;
    look.mayHaveMore = wasFull || look.announced;
    const waitMs = wasContended
      ? CONTENDED_RETRY_MS * (1 + Math.random())
      : this.pollIntervalMs * this.idleFactor(look.idle);
    look.pollAt = this.now() + waitMs;
  }

  private idleFactor(idle: number): number {
    const step = Math.max(idle, 1);
    return this.hearsNotifications()
      ? Math.min(2 ** (step - 1), MAX_HEARING_FACTOR)
      : Math.min(step, MAX_IDLE_FACTOR);
  }

  /**
   * Milliseconds until the first poll of the queues that were not among these, which were due. Time has passed since: one that
   * has come round in between must not be missed.
   */
  nextPollInMs(due: ReadonlySet<string>): number {
    let next = Number.POSITIVE_INFINITY;
    for (const [queue, { pollAt }] of this.looks) if (!due.has(queue)) next = Math.min(next, pollAt);
    return Math.max(next - this.now(), 0);
  }
}
