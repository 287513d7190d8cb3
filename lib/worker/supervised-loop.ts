import { Logger } from '@nestjs/common';

const MAX_BACKOFF_MS = 5_000;

/** Waiting time after the n-th failure in a row, in milliseconds: 100 ms doubling to the most, less up to a quarter at random. */
function backoffMs(failures: number, mostMs: number): number {
  return Math.min(100 * 2 ** (failures - 1), mostMs) * (1 - Math.random() / 4);
}

/**
 * A loop that cannot die: it takes turns until it is stopped, waits between them for a time or to be woken, and after a
 * failed turn backs off and goes on.
 *
 * States: new -> running -> stopped. stop() in any state, any number of times; it resolves when no turn is under way.
 * A wake during a turn is kept for the end of it.
 */
export class SupervisedLoop {
  private readonly logger: Logger;
  private stopping = false;
  private running: Promise<void> = Promise.resolve();
  private woken = false;
  private wakeable = false;
  private endWait: (() => void) | undefined;
  private current: Promise<number> = Promise.resolve(0);

  /**
   * @param name for logs
   * @param turn does one round of work and answers how many milliseconds to wait for the next (Infinity: until woken)
   * @param maxBackoffMs the longest wait after a failed turn, 5,000 at most
   */
  constructor(
    private readonly name: string,
    private readonly turn: () => Promise<number>,
    private readonly maxBackoffMs = MAX_BACKOFF_MS,
  ) {
    this.logger = new Logger(`Awa ${name}`);
  }

  start(): void {
    if (!this.stopping) this.running = this.run();
  }

  /** Cuts the wait short. */
  wake(): void {
    this.woken = true;
    if (this.wakeable) this.endWait?.();
  }

  async stop(): Promise<void> {
    this.stopping = true;
    this.endWait?.();
    await this.running;
  }

  /** Resolves when the turn that is under way has ended, however. */
  async settled(): Promise<void> {
    await this.current.catch(() => undefined);
  }

  private async run(): Promise<void> {
    let failures = 0;
    while (!this.stopping) {
      this.woken = false;
      let waitMs: number;
      try {
        this.current = this.turn();
        waitMs = await this.current;
        if (failures > 0) this.logger.log(`works again after ${failures} failed turn(s)`);
        failures = 0;
      } catch (error) {
        failures += 1;
        waitMs = backoffMs(failures, Math.min(this.maxBackoffMs, MAX_BACKOFF_MS));
        // Once per outage: a database that is away for an hour is one event, not thousands.
        if (failures === 1) this.logger.warn(`a turn failed, trying again: ${describe(error)}`);
      }
      await this.wait(waitMs, failures === 0);
    }
  }

  /** A back-off is not cut short by wakes: they come as fast in an outage as at any time. */
  private wait(ms: number, wakeable: boolean): Promise<void> {
    if (this.stopping || (wakeable && this.woken) || ms <= 0) return Promise.resolve();
    return new Promise((resolve) => {
      const end = () => {
        this.endWait = undefined;
        this.wakeable = false;
        clearTimeout(timer);
        resolve();
      };
      const timer = ms === Number.POSITIVE_INFINITY ? undefined : setTimeout(end, ms);
      this.endWait = end;
      this.wakeable = wakeable;
    });
  }
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message} (${error.cause.message})` : error.message;
}
