import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';

/** Latencies are kept as whole microseconds. */
const PER_MS = 1_000;

/**
 * Percentiles over the last samples' time, in memory that does not grow: a histogram for each sample, the oldest of which is reset and
 * used again.
 */
export class SlidingLatency {
  private readonly histograms: RecordableHistogram[];
  private at = 0;

  /** @param samples how many samples make the window */
  constructor(samples: number) {
    this.histograms = Array.from({ length: samples }, () => createHistogram());
  }

  record(ms: number): void {
    this.histograms[this.at]!.record(Math.max(1, Math.round(ms * PER_MS)));
  }

  /** Percentiles of the window in milliseconds; undefined while nothing was recorded. The window moves on by a sample. */
  take(percentiles: readonly number[]): number[] | undefined {
    const window = createHistogram();
    for (const histogram of this.histograms) if (histogram.count > 0) window.add(histogram);
    this.at = (this.at + 1) % this.histograms.length;
    this.histograms[this.at]!.reset();
    if (window.count === 0) return undefined;
    return percentiles.map((percentile) => window.percentile(percentile) / PER_MS);
  }
}
