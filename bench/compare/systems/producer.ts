import { setTimeout as delay } from 'node:timers/promises';
import type { Environment } from './environment.js';
import { log } from './lines.js';
import type { Measurements } from './measurements.js';
import { type Payload, PayloadMaker } from './payload.js';
import type { QueueSystem } from './queue-system.js';
import type { Work } from './work.js';

/** After a failed enqueue, in milliseconds. */
const RETRY_MS = 100;

/** What an offered rate may run behind by, in seconds of it: what cannot be kept up with shows as a backlog, not as a flood later. */
const MOST_BEHIND_S = 1;

/** Enqueues what the runner asks for: the preload, then by its mode until it is stopped. */
export class Producer {
  private readonly payloads: PayloadMaker;
  private readonly stopping = new AbortController();
  private queueAt = 0;
  private preloaded = 0;
  private readonly awaited = new Map<number, () => void>();

  constructor(
    private readonly system: QueueSystem,
    private readonly queues: readonly string[],
    private readonly environment: Environment,
    private readonly measurements: Measurements,
    work: Work,
  ) {
    this.payloads = new PayloadMaker(environment.payloadBytes);
    work.onStarted = ({ n }) => this.awaited.get(n)?.();
  }

  /** @returns how long it took, in seconds */
  async preload(): Promise<number> {
    const startedAt = performance.now();
    while (this.preloaded < this.environment.preload && !this.stopping.signal.aborted) {
      const jobs = Math.min(this.system.preloadBatch, this.environment.preload - this.preloaded);
      await this.system.enqueue(this.nextQueue(), this.make(jobs));
      this.preloaded += jobs;
    }
    return (performance.now() - startedAt) / 1_000;
  }

  /** Resolves when it was stopped, and the enqueue under way has ended. */
  async run(): Promise<void> {
    const { mode } = this.environment;
    if (mode === 'fixed') await this.runByWanted(this.credit());
    if (mode === 'depth-target') await this.runByWanted({ wanted: () => this.missing(), took: () => {} });
    if (mode === 'one-by-one') await this.runOneByOne();
  }

  stop(): void {
    this.stopping.abort();
    for (const wake of this.awaited.values()) wake();
  }

  private async runByWanted({ wanted, took }: Wanted): Promise<void> {
    const { batchMax, batchMs } = this.environment;
    while (!this.stopping.signal.aborted) {
      const jobs = Math.floor(Math.min(wanted(), batchMax));
      if (jobs < 1) await this.pause(batchMs);
      else if (await this.enqueue(this.make(jobs))) took(jobs);
    }
  }

  /** So many jobs as the rate asks for in the time that has really passed. */
  private credit(): Wanted {
    const { rate } = this.environment;
    let credit = 0;
    let creditedAt = performance.now();
    return {
      wanted: () => {
        const now = performance.now();
        credit = Math.min(credit + (rate * (now - creditedAt)) / 1_000, Math.max(rate * MOST_BEHIND_S, 1));
        creditedAt = now;
        return credit;
      },
      took: (jobs) => {
        credit -= jobs;
      },
    };
  }

  /** Of what this process has enqueued, what has started here counts off: summed over the processes, that is what waits. */
  private missing(): number {
    const { enqueued, started } = this.measurements;
    return this.environment.targetDepth - (this.preloaded + enqueued - started);
  }

  private async runOneByOne(): Promise<void> {
    while (!this.stopping.signal.aborted) {
      const payloads = this.make(1);
      const { n } = payloads[0]!;
      // It may start before the enqueue resolves, so that is waited for from before.
      const { promise: started, resolve } = withResolver();
      this.awaited.set(n, resolve);
      if (await this.enqueue(payloads)) await started;
      this.awaited.delete(n);
      await this.pause(this.environment.pauseMs);
    }
  }

  private async enqueue(payloads: readonly Payload[]): Promise<boolean> {
    const startedAt = performance.now();
    try {
      await this.system.enqueue(this.nextQueue(), payloads);
    } catch (error) {
      log(`enqueue failed, trying again: ${String(error)}`);
      await this.pause(RETRY_MS);
      return false;
    }
    this.measurements.enqueued += payloads.length;
    this.measurements.producer.record(performance.now() - startedAt);
    return true;
  }

  private make(jobs: number): Payload[] {
    return Array.from({ length: jobs }, () => this.payloads.make());
  }

  private nextQueue(): string {
    const queue = this.queues[this.queueAt % this.queues.length]!;
    this.queueAt += 1;
    return queue;
  }

  private async pause(ms: number): Promise<void> {
    await delay(ms, undefined, { signal: this.stopping.signal }).catch(() => {});
  }
}

/** How many jobs are due, and that so many were enqueued. */
interface Wanted {
  wanted(): number;
  took(jobs: number): void;
}

function withResolver(): { promise: Promise<void>; resolve: () => void } {
  let resolve = () => {};
  const promise = new Promise<void>((fulfil) => (resolve = fulfil));
  return { promise, resolve };
}
