import { Logger } from '@nestjs/common';

/** A job goes back for so long at first, and at most, in milliseconds. */
const FIRST_DELAY_MS = 1_000;
const MAX_DELAY_MS = 60_000;

/** A kind is warned of once in so many milliseconds; one that has not been seen for so long begins anew. */
const WARN_INTERVAL_MS = 600_000;

interface Kind {
  delayMs: number;
  /** When the delay was last raised, seen and warned of. */
  raisedAt: number;
  seenAt: number;
  warnedAt: number;
}

/**
 * Says for how long jobs go back whose kind has no handler in this process: another process may have one, or the next release.
 * The delay doubles when jobs come again after it has passed; that many come at once does not raise it.
 */
export class UnknownKinds {
  private readonly logger = new Logger('Awa executor');
  private readonly kinds = new Map<string, Kind>();

  constructor(private readonly now: () => number = () => performance.now()) {}

  /** Milliseconds until a job of the kind should come back. */
  delayMs(name: string): number {
    const now = this.now();
    let kind = this.kinds.get(name);
    if (kind === undefined || now - kind.seenAt > WARN_INTERVAL_MS) {
      kind = { delayMs: FIRST_DELAY_MS, raisedAt: now, seenAt: now, warnedAt: Number.NEGATIVE_INFINITY };
      this.kinds.set(name, kind);
    } else if (now - kind.raisedAt >= kind.delayMs * 0.75) {
      kind.delayMs = Math.min(kind.delayMs * 2, MAX_DELAY_MS);
      kind.raisedAt = now;
    }
    kind.seenAt = now;
    this.warn(name, kind, now);
    return kind.delayMs * (0.75 + Math.random() / 4);
  }

  private warn(name: string, kind: Kind, now: number): void {
    if (now - kind.warnedAt < WARN_INTERVAL_MS) return;
    kind.warnedAt = now;
    this.logger.warn(
      `no handler for jobs of kind "${name}" in this process: they go back to the queue, no attempt is counted`,
    );
  }
}
