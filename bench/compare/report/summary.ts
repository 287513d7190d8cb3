import type { Percentiles } from '../runner/histogram.js';
import type { Figures, Results, Run } from '../runner/results.js';
import type { Shape } from '../runner/shapes.js';
import { median } from '../runner/statistics.js';

/** A system in a shape: the medians of all its repetitions that did not fail. */
export interface Row {
  readonly system: string;
  readonly figures: Figures;
  /** Jobs a second over time, of the first repetition: a median of curves is nobody's curve. */
  readonly slices: readonly number[] | undefined;
  readonly runs: readonly Run[];
}

export interface Section {
  readonly shape: Shape;
  /** The fastest first. */
  readonly rows: readonly Row[];
  readonly failed: readonly Run[];
}

export function summarise({ shapes, runs }: Results): readonly Section[] {
  return shapes.map((shape) => {
    const ofShape = runs.filter((run) => run.shape === shape.name);
    const systems = [...new Set(ofShape.map(({ system }) => system))];
    const rows = systems
      .map((system) =>
        rowOf(
          system,
          ofShape.filter((run) => run.system === system),
        ),
      )
      .filter((row) => row !== undefined)
      .toSorted((a, b) => b.figures.rateMedian - a.figures.rateMedian);
    return { shape, rows, failed: ofShape.filter(({ error }) => error !== undefined) };
  });
}

/** How many times as fast as graphile-worker, the fastest Node queue on Postgres that is not ours. */
export function ratioToGraphile({ rows }: Section, { figures }: Row): number | undefined {
  const graphile = rows.find(({ system }) => system === 'graphile');
  return graphile === undefined ? undefined : figures.rateMedian / graphile.figures.rateMedian;
}

function rowOf(system: string, runs: readonly Run[]): Row | undefined {
  const measured = runs.filter(({ figures }) => figures !== undefined);
  const all = measured.flatMap(({ figures }) => figures ?? []);
  if (all.length === 0) return undefined;
  const middle = (select: (figures: Figures) => number | undefined) =>
    median(all.map(select).filter((value) => value !== undefined));
  const percentiles = (select: (figures: Figures) => Percentiles | undefined) => {
    const [p50, p95, p99] = (['p50', 'p95', 'p99'] as const).map((p) =>
      middle((figures) => select(figures)?.[p]),
    );
    return p50 === undefined || p95 === undefined || p99 === undefined ? undefined : { p50, p95, p99 };
  };
  const figures: Figures = {
    jobs: middle(({ jobs }) => jobs) ?? 0,
    seconds: middle(({ seconds }) => seconds) ?? 0,
    rateMedian: middle(({ rateMedian }) => rateMedian) ?? 0,
    rateMean: middle(({ rateMean }) => rateMean) ?? 0,
    pickupMs: percentiles(({ pickupMs }) => pickupMs),
    producerMs: percentiles(({ producerMs }) => producerMs),
    backlogMedian: middle(({ backlogMedian }) => backlogMedian),
    preloadRate: middle(({ preloadRate }) => preloadRate),
    adapterCpuUs: middle(({ adapterCpuUs }) => adapterCpuUs),
    postgresCpuUs: middle(({ postgresCpuUs }) => postgresCpuUs),
    redisCpuUs: middle(({ redisCpuUs }) => redisCpuUs),
    walBytes: middle(({ walBytes }) => walBytes),
    commits: middle(({ commits }) => commits),
    deadTuples: middle(({ deadTuples }) => deadTuples),
    rssPeakMb: middle(({ rssPeakMb }) => rssPeakMb),
    connections: middle(({ connections }) => connections),
    cleanRate: middle(({ cleanRate }) => cleanRate),
    lastRate: middle(({ lastRate }) => lastRate),
    pinnedRatio: middle(({ pinnedRatio }) => pinnedRatio),
  };
  return { system, figures, slices: measured[0]?.slices, runs };
}
