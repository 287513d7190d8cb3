import type { Logger } from '@nestjs/common';

/** Most different refusals that are remembered. */
const MAX_KNOWN = 1_000;

/** Tells an operator of attempts that cannot be ended, each once: they are met again at each look. */
export class RefusalLog {
  private readonly known = new Set<string>();

  constructor(
    private readonly logger: Logger,
    /** Goes on from "the running attempt of this job". */
    private readonly what: string,
  ) {}

  add(refusal: string): void {
    if (this.known.has(refusal)) return;
    if (this.known.size >= MAX_KNOWN) this.known.clear();
    this.known.add(refusal);
    this.logger.error(`the running attempt of this job ${this.what}, look at its rows: ${refusal}`);
  }
}
