import { renderBars } from './bars.js';
import { renderLines } from './lines.js';
import { formatMs, formatNumber } from './number.js';
import type { Section } from './summary.js';

/** @returns plots by the end of their file's name */
export function renderPlots(sections: readonly Section[]): Readonly<Record<string, string>> {
  const measured = sections.filter(({ rows }) => rows.length > 0);
  const plots: Record<string, string> = {};
  if (measured.length > 0) plots['rates'] = plotRates(measured);
  const pickup = measured.filter(({ rows }) => rows.some(({ figures }) => figures.pickupMs !== undefined));
  if (pickup.length > 0) plots['pickup'] = plotPickup(pickup);
  const pinned = measured.find(({ rows }) => rows.some(({ slices }) => (slices?.length ?? 0) > 0));
  if (pinned !== undefined) plots['pinned'] = plotPinned(pinned);
  return plots;
}

function plotRates(sections: readonly Section[]): string {
  return renderBars({
    title: 'Completed jobs a second',
    axis: 'jobs/s, median of the seconds (more is better)',
    scale: 'linear',
    legend: [
      { name: 'nestjs-awa', colour: 'own' },
      { name: 'others', colour: 'peer' },
    ],
    panels: sections.map(({ shape, rows }) => ({
      title: titleOf(shape),
      groups: rows.map(({ system, figures }) => ({
        name: system,
        bars: [
          {
            value: figures.rateMedian,
            label: formatNumber(figures.rateMedian),
            colour: system.split('@')[0] === 'awa' ? 'own' : 'peer',
          },
        ],
      })),
    })),
  });
}

const PERCENTILES = ['p50', 'p95', 'p99'] as const;

/** From the quickest to the slowest. Logarithmic, since a queue that falls behind is slower by orders of magnitude. */
function plotPickup(sections: readonly Section[]): string {
  return renderBars({
    title: 'From enqueue to the start of the handler',
    axis: 'milliseconds, logarithmic (less is better)',
    scale: 'log',
    legend: PERCENTILES.map((name, index) => ({ name, colour: String(index) })),
    panels: sections.map(({ shape, rows }) => ({
      title: titleOf(shape),
      groups: rows
        .flatMap(({ system, figures: { pickupMs } }) =>
          pickupMs === undefined ? [] : [{ system, pickupMs }],
        )
        .toSorted((a, b) => a.pickupMs.p50 - b.pickupMs.p50)
        .map(({ system, pickupMs }) => ({
          name: system,
          bars: PERCENTILES.map((percentile, index) => ({
            value: pickupMs[percentile],
            label: `${formatMs(pickupMs[percentile])} ms`,
            colour: String(index),
          })),
        })),
    })),
  });
}

function plotPinned({ shape, rows }: Section): string {
  return renderLines({
    title: 'Jobs a second while a transaction is held open',
    xAxis: 'seconds since the warm-up',
    yAxis: `jobs/s, mean of each ${shape.sliceS} s`,
    mark: { x: shape.cleanS, label: 'the transaction begins' },
    lines: rows.flatMap(({ system, slices }) =>
      slices === undefined
        ? []
        : [
            {
              name: system,
              points: slices.map((rate, index) => [(index + 0.5) * shape.sliceS, rate] as const),
            },
          ],
    ),
  });
}

function titleOf({ name, title }: Section['shape']): string {
  return `${name}: ${title}`;
}
