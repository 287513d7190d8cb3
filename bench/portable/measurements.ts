import { SlidingLatency } from './sliding-latency.js';

/** Of percentiles. */
const WINDOW_S = 30;

const PERCENTILES = [50, 95, 99] as const;

/** One line of the harness: a metric, its value, and over how many seconds. */
export interface Metric {
  readonly metric: string;
  readonly value: number;
  readonly windowS: number;
}

/** What the producer and the handlers of this replica have seen since the last sample, or within the window. */
export class Measurements {
  private readonly latencies: Readonly<
    Record<'claim' | 'subscriber' | 'end_to_end' | 'producer', SlidingLatency>
  >;
  private enqueued = 0;
  private completed = 0;
  private takenAt = performance.now();

  constructor(sampleEveryS: number) {
    const latency = () => new SlidingLatency(Math.max(1, Math.round(WINDOW_S / sampleEveryS)));
    this.latencies = { claim: latency(), subscriber: latency(), end_to_end: latency(), producer: latency() };
  }

  /** A transaction with so many jobs took so long. */
  produced(jobs: number, ms: number): void {
    this.enqueued += jobs;
    this.latencies.producer.record(ms);
  }

  /** A handler began so long after its job was sent. Between claim and handler there is no subscriber of its own here. */
  started(ms: number): void {
    this.latencies.claim.record(ms);
    this.latencies.subscriber.record(ms);
  }

  ended(ms: number): void {
    this.completed += 1;
    this.latencies.end_to_end.record(ms);
  }

  take(): Metric[] {
    const now = performance.now();
    const windowS = (now - this.takenAt) / 1_000;
    this.takenAt = now;
    const rates = [
      { metric: 'enqueue_rate', value: this.enqueued / windowS, windowS },
      { metric: 'completion_rate', value: this.completed / windowS, windowS },
    ];
    this.enqueued = 0;
    this.completed = 0;
    const percentiles = Object.entries(this.latencies).flatMap(([name, latency]) =>
      (latency.take(PERCENTILES) ?? []).map((value, index) => ({
        metric: `${name}_p${PERCENTILES[index]}_ms`,
        value,
        windowS: WINDOW_S,
      })),
    );
    return [...rates, ...percentiles];
  }
}
