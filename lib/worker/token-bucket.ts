/** So many jobs in so many milliseconds, and so many at once after a quiet time. */
export interface RateLimit {
  readonly max: number;
  readonly perMs: number;
  readonly burst: number;
}

/**
 * A token bucket: it fills evenly, `max` tokens in `perMs`, up to `burst`, and is full at first. So any time of `perMs` sees at
 * most `max + burst` tokens taken.
 */
export class TokenBucket {
  private readonly perMs: number;
  private tokens: number;
  private filledAt: number;

  constructor(
    private readonly limit: RateLimit,
    /** Milliseconds of a clock that never goes back. */
    private readonly now: () => number = () => performance.now(),
  ) {
    this.perMs = limit.max / limit.perMs;
    this.tokens = limit.burst;
    this.filledAt = now();
  }

  /** Whole tokens that can be taken now. */
  get available(): number {
    this.fill();
    // A hair less than a token is one: the sum of many small fillings is not exact.
    return Math.max(Math.floor(this.tokens + 1e-9), 0);
  }

  take(tokens: number): void {
    this.fill();
    this.tokens -= tokens;
  }

  /** Tokens that were taken for nothing. */
  giveBack(tokens: number): void {
    this.fill();
    this.tokens = Math.min(this.tokens + tokens, this.limit.burst);
  }

  /**
   * Milliseconds until it is worth looking again: until there is a token, or, of a fast bucket, until there are those of
   * `atLeastMs`, so that not every token costs a claim of its own.
   */
  readyInMs(atLeastMs: number): number {
    this.fill();
    const wanted = Math.max(1, Math.min(this.limit.burst, Math.floor(atLeastMs * this.perMs)));
    return Math.max((wanted - this.tokens) / this.perMs, 0);
  }

  private fill(): void {
    const now = this.now();
    this.tokens = Math.min(this.tokens + (now - this.filledAt) * this.perMs, this.limit.burst);
    this.filledAt = now;
  }
}
