/** How long a handler that ignores its abort keeps its slot at first, in milliseconds, and at most. */
const LINGER_MS = 60_000;
const MAX_LINGER_MS = 24 * 60 * 60_000;

/**
 * Handlers that run on although their attempts are over, and have lost their slots for it. If they kept them for ever, a few that
 * hang would stop their queue; if they lost them at once, their number would grow with each retry. So a slot is kept for a
 * minute, and for twice as long each time that as many as the queue has slots have lost theirs: after a day of nothing but
 * handlers that hang, a queue with n slots has about 10 n of them.
 */
export class Lingering {
  private readonly forsaken = new Map<string, number>();

  constructor(private readonly queues: readonly { readonly name: string; readonly maxWorkers: number }[]) {}

  /** How long the next one keeps its slot, in milliseconds. */
  lingerMs(queue: string): number {
    const slots = this.queues.find(({ name }) => name === queue)?.maxWorkers ?? 1;
    const rounds = Math.floor((this.forsaken.get(queue) ?? 0) / slots);
    return Math.min(LINGER_MS * 2 ** rounds, MAX_LINGER_MS);
  }

  /** A handler has lost its slot. */
  forsake(queue: string): void {
    this.forsaken.set(queue, (this.forsaken.get(queue) ?? 0) + 1);
  }

  /** Such a handler has come back after all. */
  return(queue: string): void {
    this.forsaken.set(queue, Math.max((this.forsaken.get(queue) ?? 0) - 1, 0));
  }
}
