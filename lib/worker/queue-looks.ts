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
  /** Looks in a row at which others were claiming, and that brought nothing. */
  contended: number;
  /** The priority in which there may be more, when only one is known of; 0: several or any; undefined: nothing was told. */
  priority: number | undefined;
  /** The priority that the present look is at; 0: all. */
  lookingAt: number;
  /** When a look at all priorities ended, and whether it left nothing. */
  sawAllAt: number;
  sawAllEmpty: boolean;
}

/** What a look at a queue brought. */
export interface LookResult {
  readonly jobs: number;
  /** Of the last job. */
  readonly priority: number | undefined;
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

/**
 * Somebody else was claiming from the lanes that have jobs: look again after so many milliseconds, and up to as many more; twice as long
 * each time it happens again, up to eight times, so that many processes do not spend the server's time on looks in vain.
 */
const CONTENDED_RETRY_MS = 5;
const MAX_CONTENDED_FACTOR = 8;

/**
 * A look at the priority that is known to have jobs costs less than one at all of them. What the others hold may have grown more urgent
 * meanwhile, or have come without a word, so all are looked at every so often; in milliseconds.
 */
const SEE_ALL_MS = 1_000;
const SEE_ALL_EMPTY_MS = 5_000;

/** Before the first look. */
const UNKNOWN: Look = {
  mayHaveMore: true,
  announced: false,
  pollAt: 0,
  idle: 0,
  contended: 0,
  priority: 0,
  lookingAt: 0,
  sawAllAt: Number.NEGATIVE_INFINITY,
  sawAllEmpty: false,
};

/**
 * When to look at which queue. A queue is due when it was announced to have work, when its last look left some, and when its
 * poll comes round. An announcement during a look is kept for the next one.
 *
 * And where: at one priority, when that is where jobs were announced or left, and all were looked at not long ago.
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
    this.looks = new Map(queues.map((name) => [name, { ...UNKNOWN }]));
  }

  /** There may be work in the queue, or in any; in one priority, or in any. */
  announce(queue?: string, priority = 0): void {
    for (const [name, look] of this.looks) {
      if (queue !== undefined && queue !== name) continue;
      look.priority = both(look.priority, priority);
      look.mayHaveMore = true;
      look.announced = true;
      look.idle = 0;
    }
  }

  isDue(queue: string): boolean {
    const look = this.looks.get(queue);
    if (look === undefined) return false;
    // What is announced while others claim is theirs, or is still there when the wait is over.
    return look.pollAt <= this.now() || (look.mayHaveMore && look.contended === 0);
  }

  /** Whether one of those that fit is due. */
  isAnyDue(fits: (queue: string) => boolean): boolean {
    for (const queue of this.looks.keys()) if (fits(queue) && this.isDue(queue)) return true;
    return false;
  }

  due(): Set<string> {
    return new Set([...this.looks.keys()].filter((queue) => this.isDue(queue)));
  }

  /**
   * Whether a queue that is not due is looked at along with those that are: in a round of polls, so that these come together, and when it
   * may have jobs that nobody told of.
   */
  ridesAlong(queue: string, due: ReadonlySet<string>): boolean {
    const look = this.looks.get(queue);
    if (look === undefined || !look.sawAllEmpty || !this.knowsTheOthers(look)) return true;
    for (const name of due) if (this.looks.get(name)?.mayHaveMore === false) return true;
    return false;
  }

  /** A look at the queue begins. @returns the priority to look at; 0: all */
  begin(queue: string): number {
    const look = this.looks.get(queue);
    if (look === undefined) return 0;
    look.lookingAt = this.knowsTheOthers(look) ? (look.priority ?? 0) : 0;
    look.priority = undefined;
    look.announced = false;
    return look.lookingAt;
  }

  end(queue: string, { jobs, priority = 0, wasFull, wasContended, wasRefused }: LookResult): void {
    const look = this.looks.get(queue);
    if (look === undefined) return;
    const leftSome = wasFull || wasContended || wasRefused;
    const sawAll = look.lookingAt === 0;
    if (sawAll) Object.assign(look, { sawAllAt: this.now(), sawAllEmpty: !leftSome });
    // The more urgent ones are empty now, as far as is known.
    if (leftSome) look.priority = both(look.priority, sawAll ? priority : look.lookingAt);
    // Work that others claim now may be ours at the next look: not a reason to look less often.
    look.idle = jobs > 0 || wasRefused || wasContended ? 0 : look.idle + 1;
    look.mayHaveMore = wasFull || look.announced || (!leftSome && !sawAll && !look.sawAllEmpty);
    look.contended = wasContended && jobs === 0 ? look.contended + 1 : 0;
    const waitMs = wasContended
      ? CONTENDED_RETRY_MS * (1 + Math.random()) * contendedFactor(look.contended)
      : this.pollIntervalMs * this.idleFactor(look.idle);
    look.pollAt = this.now() + waitMs;
  }

  /** Whether the other priorities have nothing, or nothing that could not wait for a moment. */
  private knowsTheOthers({ sawAllAt, sawAllEmpty }: Look): boolean {
    const goodForMs = sawAllEmpty ? SEE_ALL_EMPTY_MS : SEE_ALL_MS;
    return this.hearsNotifications() && this.now() - sawAllAt < goodForMs;
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

/** One priority or the other. */
function both(one: number | undefined, other: number): number {
  return one === undefined || one === other ? other : 0;
}

function contendedFactor(times: number): number {
  return Math.min(2 ** Math.max(times - 1, 0), MAX_CONTENDED_FACTOR);
}
