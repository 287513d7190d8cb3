/** About so many milliseconds of a kind's work may wait in the process; about two turns of the promotion. */
const WAITING_WORK_MS = 200;

/** Most jobs of a kind that wait in the process. */
const MAX_WAITING = 512;

/** What a job of a kind is thought to take before one has ended, in milliseconds. */
const UNKNOWN_MS = 200;

/** A job that is set aside comes back after so long at least, and at most, in milliseconds. */
const MIN_ASIDE_MS = 200;
const MAX_ASIDE_MS = 60_000;

/** Jobs come back a little faster than they can be run, so that the kind's slots are never left without one. */
const HASTE = 0.8;

/** The part of a new measurement in the mean. */
const WEIGHT = 0.2;

interface Kind {
  readonly limit: number;
  running: number;
  meanMs: number | undefined;
  /** When one of its jobs started or ended last. */
  changedAt: number;
  /** When the job that was set aside last comes back. */
  lastBackAt: number;
}

/** How many jobs of a kind run at a time in this process, for kinds with `concurrency`. */
export class KindLimits {
  private readonly kinds = new Map<string, Kind>();

  constructor(
    /** The `concurrency` of a kind, if it has one. */
    private readonly concurrency: (kind: string) => number | undefined,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** Whether no further job of the kind may start. */
  isFull(name: string): boolean {
    const kind = this.kind(name);
    return kind !== undefined && kind.running >= kind.limit;
  }

  take(name: string): void {
    const kind = this.kind(name);
    if (kind === undefined) return;
    kind.running += 1;
    kind.changedAt = this.now();
  }

  /** A job of the kind has ended after so many milliseconds. */
  release(name: string, tookMs: number): void {
    const kind = this.kind(name);
    if (kind === undefined) return;
    kind.running -= 1;
    kind.changedAt = this.now();
    kind.meanMs = kind.meanMs === undefined ? tookMs : kind.meanMs + WEIGHT * (tookMs - kind.meanMs);
  }

  /** How many of its jobs may wait in the process: none of a slow kind, since others could run them. */
  maxWaiting(name: string): number {
    const kind = this.kind(name);
    if (kind === undefined) return 0;
    return Math.min(
      Math.floor((kind.limit * WAITING_WORK_MS) / Math.max(this.expectedMs(kind), 0.1)),
      MAX_WAITING,
    );
  }

  /**
   * Milliseconds after which a job that is set aside now should come back: when those before it have been run. They come back one
   * after the other, as fast as the kind works, and not all at once, to be set aside again.
   */
  asideMs(name: string): number {
    const now = this.now();
    const kind = this.kind(name);
    if (kind === undefined) return MIN_ASIDE_MS;
    const step = (HASTE * this.expectedMs(kind)) / kind.limit;
    kind.lastBackAt = Math.min(Math.max(kind.lastBackAt, now + MIN_ASIDE_MS) + step, now + MAX_ASIDE_MS);
    return kind.lastBackAt - now;
  }

  /** What a job of the kind takes: the mean, or more when those that run now have taken longer. */
  private expectedMs(kind: Kind): number {
    const mean = kind.meanMs ?? UNKNOWN_MS;
    return kind.running < kind.limit ? mean : Math.max(mean, this.now() - kind.changedAt);
  }

  private kind(name: string): Kind | undefined {
    const known = this.kinds.get(name);
    if (known !== undefined) return known;
    const limit = this.concurrency(name);
    if (limit === undefined) return undefined;
    const kind: Kind = {
      limit,
      running: 0,
      meanMs: undefined,
      changedAt: 0,
      lastBackAt: Number.NEGATIVE_INFINITY,
    };
    this.kinds.set(name, kind);
    return kind;
  }
}
