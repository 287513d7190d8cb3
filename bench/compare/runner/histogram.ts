import type { Buckets } from './adapter.js';

export interface Percentiles {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
}

/** The contract's buckets: each is two percent wide. */
const GROWTH = 1.02;

/** Counts of many samples and processes in one. */
export class Histogram {
  private readonly counts = new Map<number, number>();
  private total = 0;

  add(buckets: Buckets): void {
    for (const [bucket, count] of buckets) {
      this.counts.set(bucket, (this.counts.get(bucket) ?? 0) + count);
      this.total += count;
    }
  }

  /** @returns milliseconds, or undefined when nothing was counted */
  percentiles(): Percentiles | undefined {
    if (this.total === 0) return undefined;
    return { p50: this.percentile(0.5), p95: this.percentile(0.95), p99: this.percentile(0.99) };
  }

  private percentile(share: number): number {
    const sorted = [...this.counts].toSorted(([a], [b]) => a - b);
    let left = share * this.total;
    for (const [bucket, count] of sorted) {
      left -= count;
      // The middle of the bucket is off by one percent at most.
      if (left <= 0) return GROWTH ** (bucket + 0.5) / 1_000;
    }
    return Number.NaN;
  }
}
