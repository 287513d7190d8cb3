import { setTimeout as delay } from 'node:timers/promises';
import type { Environment } from './environment.js';
import { log } from './lines.js';
import type { Measurements } from './measurements.js';
import { type Payload, PayloadMaker } from './payload.js';
import type { QueueSystem } from './queue-system.js';
import type { Work } from './work.js';

/** After a failed enqueue, in milliseconds. */
const RETRY_MS = 100;

/** How often a depth that lacks less than a batch is looked at, in milliseconds. */
const LOOK_MS = 1;

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

  /** Resolves when it was stopped, and the enqueues under way have ended. */
  async run(): Promise<void> {
    const { mode } = this.environment;
    if (mode === 'fixed') await this.runAtRate();
    if (mode === 'depth-target') await this.runToDepth();
    if (mode === 'one-by-one') await this.runOneByOne();
  }

  stop(): void {
    this.stopping.abort();
    for (const wake of this.awaited.values()) wake();
  }

  /** Enqueues what the time that has really passed asks for, collected for a while, or until a batch is full. */
  private async runAtRate(): Promise<void> {
    const { rate, batchMax, batchMs } = this.environment;
    let credit = 0;
    let creditedAt = performance.now();
    while (!this.stopping.signal.aborted) {
      const fullInMs = ((batchMax - credit) / rate) * 1_000;
      const collectedMs = performance.now() - creditedAt;
      await this.pause(Math.min(batchMs, fullInMs) - collectedMs);
      const now = performance.now();
      credit += (rate * (now - creditedAt)) / 1_000;
      creditedAt = now;
      const jobs = Math.floor(Math.min(credit, batchMax));
      if (jobs > 0 && (await this.enqueue(this.make(jobs)))) credit -= jobs;
    }
  }

  /**
   * Enqueues a whole batch as soon as that is missing, and less when nothing was enqueued for as long as a rate is collected.
   * A few calls may be under way: one after the other they would be the limit of a system that works faster than one caller can send.
   */
  private async runToDepth(): Promise<void> {
    const { batchMax, batchMs, callsMax } = this.environment;
    const calls = new Set<Promise<void>>();
    let jobsUnderWay = 0;
    let enqueuedAt = Number.NEGATIVE_INFINITY;
    while (!this.stopping.signal.aborted) {
      const missing = this.missing() - jobsUnderWay;
      const isDue = missing > 0 && calls.size === 0 && performance.now() - enqueuedAt >= batchMs;
      if (missing < batchMax && !isDue) {
        await this.pause(LOOK_MS);
      } else if (calls.size >= callsMax) {
        await Promise.race(calls);
      } else {
        const jobs = Math.min(missing, batchMax);
        jobsUnderWay += jobs;
        const call = this.enqueue(this.make(jobs)).then(() => {
          jobsUnderWay -= jobs;
          enqueuedAt = performance.now();
          calls.delete(call);
        });
        calls.add(call);
      }
    }
    await Promise.all(calls);
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
    if (ms <= 0) return;
    await delay(ms, undefined, { signal: this.stopping.signal }).catch(() => {});
  }
}

function withResolver(): { promise: Promise<void>; resolve: () => void } {
  let resolve = () => {};
  const promise = new Promise<void>((fulfil) => (resolve = fulfil));
  return { promise, resolve };
}
