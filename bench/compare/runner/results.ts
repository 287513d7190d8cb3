import type { Descriptor } from './adapter.js';
import type { Percentiles } from './histogram.js';
import type { Machine } from './machine.js';
import type { Shape } from './shapes.js';
import type { Skipped } from './systems.js';

/** What is measured of one run. Figures per job are per completed job of the measured time. */
export interface Figures {
  readonly jobs: number;
  readonly seconds: number;
  /** Jobs a second: median of the seconds, and all jobs by the whole time. */
  readonly rateMedian: number;
  readonly rateMean: number;
  /** Sent to handler start, in milliseconds. */
  readonly pickupMs?: Percentiles | undefined;
  /** Duration of one enqueue call, in milliseconds. */
  readonly producerMs?: Percentiles | undefined;
  readonly backlogMedian?: number | undefined;
  readonly preloadRate?: number | undefined;
  readonly adapterCpuUs?: number | undefined;
  readonly postgresCpuUs?: number | undefined;
  readonly redisCpuUs?: number | undefined;
  readonly walBytes?: number | undefined;
  readonly commits?: number | undefined;
  readonly deadTuples?: number | undefined;
  readonly rssPeakMb?: number | undefined;
  readonly connections?: number | undefined;
  /** Jobs a second before the held transaction, at its end, and the second by the first. */
  readonly cleanRate?: number | undefined;
  readonly lastRate?: number | undefined;
  readonly pinnedRatio?: number | undefined;
}

export interface Run {
  readonly shape: string;
  readonly system: string;
  readonly repetition: number;
  readonly startedAt: string;
  readonly descriptor?: Descriptor | undefined;
  /** Undefined when the run failed. */
  readonly figures?: Figures | undefined;
  /** Jobs a second, second by second, from when the adapter was ready: the warm-up has its place in it. */
  readonly series: readonly number[];
  /** The same in the longer slices of a shape that is about time. */
  readonly slices?: readonly number[] | undefined;
  /** Tables with dead tuples, after the run. */
  readonly deadTuplesByTable?: Readonly<Record<string, number>> | undefined;
  readonly warnings: readonly string[];
  readonly error?: string | undefined;
  readonly stderr?: readonly string[] | undefined;
}

export interface Results {
  readonly startedAt: string;
  readonly quick: boolean;
  readonly repeat: number;
  /** The run was ended before its time. */
  readonly interrupted: boolean;
  readonly machine: Machine;
  readonly versions: Readonly<Record<string, string>>;
  readonly postgresSettings: Readonly<Record<string, string>>;
  readonly redisSettings: Readonly<Record<string, string>>;
  readonly shapes: readonly Shape[];
  readonly skipped: readonly Skipped[];
  readonly runs: readonly Run[];
}
