import type { Sample } from './adapter.js';
import { median, sum } from './statistics.js';

type Counter = 'enqueued' | 'started' | 'completed' | 'failed';

/** Jobs of a run over time, from the samples of all its processes, which do not come at the same moment. */
export class Timeline {
  /** @param processes samples of each, oldest first @param readyAt when each said that it is ready */
  constructor(
    private readonly processes: readonly (readonly Sample[])[],
    private readonly readyAt: readonly number[],
  ) {}

  /** @param t milliseconds since the epoch @returns what all processes had counted then, drawn straight between two samples */
  at(counter: Counter, t: number): number {
    return sum(
      this.processes.map((samples, index) => valueAt(samples, counter, t, this.readyAt[index] ?? t)),
    );
  }

  jobsBetween(from: number, to: number): number {
    return this.at('completed', to) - this.at('completed', from);
  }

  /** Jobs a second in each slice of so many seconds. What is left at the end is too short to be a slice. */
  rates(from: number, to: number, sliceS = 1): readonly number[] {
    const slices = Math.floor((to - from) / 1_000 / sliceS + 0.05);
    return Array.from({ length: slices }, (_, index) => {
      const start = from + index * sliceS * 1_000;
      return this.jobsBetween(start, start + sliceS * 1_000) / sliceS;
    });
  }

  /** Median of what was enqueued and not started, second by second. */
  backlog(from: number, to: number, preload: number): number | undefined {
    const seconds = Array.from(
      { length: Math.floor((to - from) / 1_000) + 1 },
      (_, index) => from + index * 1_000,
    );
    return median(seconds.map((t) => Math.max(0, preload + this.at('enqueued', t) - this.at('started', t))));
  }

  /** When so many jobs were completed, if they were. Only as exact as the samples. */
  whenCompleted(jobs: number, from: number, to: number): number | undefined {
    for (let t = from; t <= to; t += 50) if (this.at('completed', t) >= jobs) return t;
    return undefined;
  }

  /** Samples of which the greater part lies between the two. */
  samplesBetween(from: number, to: number): readonly Sample[] {
    return this.processes.flat().filter(({ t }) => t - 500 >= from && t - 500 < to);
  }
}

function valueAt(samples: readonly Sample[], counter: Counter, t: number, readyAt: number): number {
  let before = { t: readyAt, value: 0 };
  for (const sample of samples) {
    if (sample.t >= t) {
      const share = (t - before.t) / Math.max(1, sample.t - before.t);
      return before.value + (sample[counter] - before.value) * Math.min(1, Math.max(0, share));
    }
    before = { t: sample.t, value: sample[counter] };
  }
  return before.value;
}
