import { setTimeout as delay } from 'node:timers/promises';
import type { QueueService } from 'nestjs-awa';
import { BenchJob, clock } from './bench.job.js';
import type { Depth } from './depth.js';
import type { PortableEnvironment } from './environment.js';
import type { Measurements } from './measurements.js';

/** After a failed enqueue, in milliseconds. */
const RETRY_MS = 100;

/** What an offered rate may run behind by, in seconds of it: a database that was away is not flooded when it is back. */
const MOST_BEHIND_S = 1;

/** Offers load until it is stopped: at a rate, by the time that has really passed, or as much as keeps the queue at a depth. */
export class Producer {
  private stopping = false;
  private readonly pad: string;
  private credit = 0;
  private creditedAt = performance.now();

  constructor(
    private readonly queue: QueueService,
    private readonly environment: PortableEnvironment,
    private readonly depth: Depth,
    private readonly measurements: Measurements,
  ) {
    this.pad = 'x'.repeat(environment.payloadBytes);
  }

  /** Resolves when the transaction under way has ended. */
  async run(): Promise<void> {
    const { batchMax, batchMs } = this.environment;
    while (!this.stopping) {
      const wanted = Math.floor(Math.min(this.wanted(), batchMax));
      if (wanted < 1) {
        await delay(batchMs);
        continue;
      }
      try {
        await this.enqueue(wanted);
      } catch (error) {
        process.stderr.write(`enqueue failed, trying again: ${String(error)}\n`);
        await delay(RETRY_MS);
      }
    }
  }

  stop(): void {
    this.stopping = true;
  }

  private wanted(): number {
    const { mode, targetDepth } = this.environment;
    if (mode === 'depth-target') return targetDepth - this.depth.now;
    const now = performance.now();
    const rate = this.environment.rate();
    this.credit = Math.min(
      this.credit + (rate * (now - this.creditedAt)) / 1_000,
      Math.max(rate * MOST_BEHIND_S, 1),
    );
    this.creditedAt = now;
    return this.credit;
  }

  private async enqueue(jobs: number): Promise<void> {
    const { pad } = this;
    const startedAt = performance.now();
    await this.queue.enqueueMany(
      BenchJob,
      Array.from({ length: jobs }, () => ({ sentAt: clock(), pad })),
    );
    this.measurements.produced(jobs, performance.now() - startedAt);
    this.credit -= jobs;
    this.depth.added(jobs);
  }
}
