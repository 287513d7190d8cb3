import { Histogram, type Percentiles } from './histogram.js';
import type { Buckets, Sample } from './adapter.js';
import type { Observer, Reading } from './observer.js';
import type { Figures } from './results.js';
import type { Shape } from './shapes.js';
import { median } from './statistics.js';
import type { Timeline } from './timeline.js';

/** A backlog that is nearly used up no longer keeps all workers busy. */
const BACKLOG_SHARE = 0.95;

/** The measured part of a run. */
export interface Measured {
  readonly shape: Shape;
  readonly timeline: Timeline;
  readonly observer: Observer;
  readonly from: Reading;
  readonly to: Reading;
  /** When the transaction of a pinned run began. */
  readonly pinnedAt: number | undefined;
  readonly preloadRate: number | undefined;
  readonly deadTuples: number | undefined;
}

export function computeFigures(measured: Measured): Figures {
  const { shape, timeline, observer, from, to, pinnedAt } = measured;
  // The counters are read when a second is over; a drained backlog may have ended before.
  const usefulTo = shape.preload > 0 && !shape.untilDrained ? endOfBacklog(measured) : to.at;
  // The last sample of a drain is from after its end: a straight line to it would pass below.
  const jobs = shape.untilDrained ? shape.preload : timeline.jobsBetween(from.at, to.at);
  const usefulJobs = shape.untilDrained ? shape.preload : timeline.jobsBetween(from.at, usefulTo);
  const seconds = (usefulTo - from.at) / 1_000;
  const rates = timeline.rates(from.at, usefulTo);
  const samples = timeline.samplesBetween(from.at, usefulTo);
  const perJob = (used: number | undefined) => (used === undefined || jobs <= 0 ? undefined : used / jobs);
  const microseconds = (start: number | undefined, end: number | undefined) =>
    start === undefined || end === undefined ? undefined : perJob((end - start) * 1e6);
  const postgres = to.postgres;
  const used = (counter: 'walBytes' | 'commits') =>
    postgres === undefined || from.postgres === undefined
      ? undefined
      : perJob(postgres[counter] - from.postgres[counter]);

  return {
    jobs: Math.round(usefulJobs),
    seconds,
    // A drain of a second or two has no seconds to take a median of.
    rateMedian: (shape.untilDrained ? undefined : median(rates)) ?? usefulJobs / seconds,
    rateMean: usefulJobs / seconds,
    pickupMs: shape.hasPickup ? percentiles(samples, ({ pickup }) => pickup) : undefined,
    producerMs: percentiles(samples, ({ producer }) => producer),
    backlogMedian: shape.hasBacklog ? timeline.backlog(from.at, usefulTo, shape.preload) : undefined,
    preloadRate: measured.preloadRate,
    adapterCpuUs: microseconds(from.adapterCpu, to.adapterCpu),
    postgresCpuUs: microseconds(from.postgres?.cpuSeconds, postgres?.cpuSeconds),
    redisCpuUs: microseconds(from.redisCpu, to.redisCpu),
    walBytes: used('walBytes'),
    commits: used('commits'),
    deadTuples: measured.deadTuples,
    rssPeakMb: observer.rssPeakMb,
    connections: observer.connectionsMedian,
    ...(pinnedAt === undefined ? {} : pinnedFigures(measured, pinnedAt)),
  };
}

/** The last two slices, which in a full run are its last minute, against the time before the transaction. */
function pinnedFigures({ shape, timeline, from, to }: Measured, pinnedAt: number): Partial<Figures> {
  const lastMs = 2 * shape.sliceS * 1_000;
  const clean = timeline.jobsBetween(from.at, pinnedAt) / ((pinnedAt - from.at) / 1_000);
  const last = timeline.jobsBetween(to.at - lastMs, to.at) / (lastMs / 1_000);
  return { cleanRate: clean, lastRate: last, pinnedRatio: last / clean };
}

function endOfBacklog({ shape, timeline, from, to }: Measured): number {
  const end = timeline.whenCompleted(shape.preload * BACKLOG_SHARE, from.at, to.at) ?? to.at;
  if (end <= from.at)
    throw new Error('the backlog was done before the warm-up was over: there is nothing to measure');
  return end;
}

function percentiles(
  samples: readonly Sample[],
  select: (sample: Sample) => Buckets | undefined,
): Percentiles | undefined {
  const histogram = new Histogram();
  for (const sample of samples) histogram.add(select(sample) ?? []);
  return histogram.percentiles();
}
