import { linearScale } from './scale.js';
import { gridLine, LINE_COLOURS, polyline, svg, text } from './svg.js';

export interface Line {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface LinePlot {
  readonly title: string;
  readonly xAxis: string;
  readonly yAxis: string;
  readonly lines: readonly Line[];
  /** A moment that everything changes at. */
  readonly mark: { readonly x: number; readonly label: string };
}

const WIDTH = 860;
const HEIGHT = 460;
const LEFT = 84;
/** Room for the names at the ends of the lines. */
const RIGHT = 130;
const TOP = 86;
const BOTTOM = 56;
const NAME_HEIGHT = 15;

export function renderLines({ title, xAxis, yAxis, lines, mark }: LinePlot): string {
  const points = lines.flatMap((line) => line.points);
  const xScale = linearScale(Math.max(...points.map(([x]) => x)));
  const yScale = linearScale(Math.max(...points.map(([, y]) => y)));
  const x = (value: number) => LEFT + xScale.share(value) * (WIDTH - LEFT - RIGHT);
  const y = (value: number) => HEIGHT - BOTTOM - yScale.share(value) * (HEIGHT - TOP - BOTTOM);

  return svg(WIDTH, HEIGHT, title, [
    ...yScale.ticks.flatMap((tick) => [
      gridLine(LEFT, y(tick), WIDTH - RIGHT, y(tick)),
      text(LEFT - 8, y(tick) + 4, tick.toLocaleString('en'), 'muted', 'end'),
    ]),
    ...xScale.ticks.map((tick) => text(x(tick), HEIGHT - BOTTOM + 18, String(tick), 'muted', 'middle')),
    gridLine(x(mark.x), TOP - 12, x(mark.x), HEIGHT - BOTTOM),
    text(x(mark.x) + 4, TOP - 8, mark.label, 'muted'),
    text(20, TOP - 24, yAxis, 'muted'),
    text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 16, xAxis, 'muted', 'middle'),
    ...lines.map((line, index) =>
      polyline(
        line.points.map(([a, b]) => [x(a), y(b)] as const),
        index % LINE_COLOURS,
      ),
    ),
    ...placeNames(lines, y).flatMap(({ name, colour, at }) => [
      polyline(
        [
          [WIDTH - RIGHT + 8, at],
          [WIDTH - RIGHT + 24, at],
        ],
        colour,
      ),
      text(WIDTH - RIGHT + 30, at + 4, name),
    ]),
  ]);
}

/** At the end of each line, moved down where two of them would lie on each other. */
function placeNames(lines: readonly Line[], y: (value: number) => number) {
  const wanted = lines
    .map(({ name, points }, index) => ({
      name,
      colour: index % LINE_COLOURS,
      at: y(points.at(-1)?.[1] ?? 0),
    }))
    .toSorted((a, b) => a.at - b.at);
  let lowest = -Infinity;
  return wanted.map(({ name, colour, at }) => {
    lowest = Math.max(at, lowest + NAME_HEIGHT);
    return { name, colour, at: lowest };
  });
}
