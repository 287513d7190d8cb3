import { linearScale, logScale } from './scale.js';
import { bar, gridLine, svg, text } from './svg.js';

export interface Bar {
  readonly value: number;
  readonly label: string;
  /** Of the style: `own`, `peer`, or the number of a colour. */
  readonly colour: string;
}

/** Bars that share a name on the left. */
export interface Group {
  readonly name: string;
  readonly bars: readonly Bar[];
}

export interface Panel {
  readonly title: string;
  readonly groups: readonly Group[];
}

export interface BarPlot {
  readonly title: string;
  /** What the axis counts, with its unit. */
  readonly axis: string;
  readonly scale: 'linear' | 'log';
  readonly legend: readonly { readonly name: string; readonly colour: string }[];
  readonly panels: readonly Panel[];
}

const WIDTH = 860;
const LEFT = 150;
/** Room for the number at the end of the longest bar. */
const RIGHT = 90;
const BAR = 14;
const GROUP_GAP = 8;
const PANEL_GAP = 26;

/** Horizontal bars, one panel under the other, each with an axis of its own. */
export function renderBars({ title, axis, scale, legend, panels }: BarPlot): string {
  const content = legend.flatMap(({ name, colour }, index) => [
    bar(20 + index * 110, 43, 12, 12, `fill-${colour}`),
    text(38 + index * 110, 54, name, 'muted'),
  ]);
  let y = legend.length > 0 ? 82 : 64;
  for (const panel of panels) {
    const rendered = renderPanel(panel, axis, scale, y);
    content.push(...rendered.content);
    y = rendered.bottom + PANEL_GAP;
  }
  return svg(WIDTH, y, title, content);
}

function renderPanel(panel: Panel, axis: string, kind: 'linear' | 'log', top: number) {
  const values = panel.groups.flatMap(({ bars }) => bars.map(({ value }) => value));
  const greatest = Math.max(...values);
  const scale = kind === 'log' ? logScale(Math.min(...values), greatest) : linearScale(greatest);
  const x = (value: number) => LEFT + scale.share(value) * (WIDTH - LEFT - RIGHT);

  const bars: string[] = [];
  let y = top + 12;
  for (const { name, bars: ofGroup } of panel.groups) {
    bars.push(text(LEFT - 8, y + (ofGroup.length * BAR) / 2 + 5, name, '', 'end'));
    for (const { value, label, colour } of ofGroup) {
      bars.push(bar(LEFT, y, x(value) - LEFT, BAR - 2, `fill-${colour}`));
      bars.push(text(x(value) + 6, y + BAR - 3.5, label, 'muted'));
      y += BAR;
    }
    y += GROUP_GAP;
  }
  const grid = scale.ticks.flatMap((tick) => [
    gridLine(x(tick), top + 8, x(tick), y),
    text(x(tick), y + 15, tick.toLocaleString('en', { maximumFractionDigits: 6 }), 'muted', 'middle'),
  ]);
  const content = [
    text(20, top, panel.title, 'panel'),
    ...grid,
    ...bars,
    text(LEFT + (WIDTH - LEFT - RIGHT) / 2, y + 33, axis, 'muted', 'middle'),
  ];
  return { content, bottom: y + 38 };
}
