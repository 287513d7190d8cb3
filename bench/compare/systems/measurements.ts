/** A bucket is so much wider than the one below it, which is how exact a percentile can be. */
const BUCKET_BASE = Math.log(1.02);

/** Counts of durations, by bucket of two percent. */
class LogHistogram {
  private counts = new Map<number, number>();

  record(ms: number): void {
    const bucket = Math.floor(Math.log(Math.max(ms * 1_000, 1)) / BUCKET_BASE);
    this.counts.set(bucket, (this.counts.get(bucket) ?? 0) + 1);
  }

  /** What was recorded since the last call. */
  take(): [bucket: number, count: number][] {
    const { counts } = this;
    this.counts = new Map();
    return [...counts].sort(([a], [b]) => a - b);
  }
}

/** What producer and handlers of this process have done: numbers since the start, durations since the last sample. */
export class Measurements {
  enqueued = 0;
  started = 0;
  completed = 0;
  failed = 0;
  readonly pickup = new LogHistogram();
  readonly producer = new LogHistogram();

  sample(): object {
    const { enqueued, started, completed, failed } = this;
    return {
      kind: 'sample',
      t: Date.now(),
      enqueued,
      started,
      completed,
      failed,
      pickup: this.pickup.take(),
      producer: this.producer.take(),
    };
  }
}
