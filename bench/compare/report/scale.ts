/** Values to a share of the axis, and where its lines are. */
export interface Scale {
  readonly share: (value: number) => number;
  readonly ticks: readonly number[];
}

/** From 0 to a round number at or past the greatest value. */
export function linearScale(greatest: number): Scale {
  const rough = Math.max(greatest, 1) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough) ?? 10);
  const lines = Math.ceil(Math.max(greatest, 1) / step);
  return {
    share: (value) => value / (lines * step),
    ticks: Array.from({ length: lines + 1 }, (_, index) => index * step),
  };
}

/** From a power of ten at or below the smallest value to one at or past the greatest. */
export function logScale(smallest: number, greatest: number): Scale {
  const from = Math.floor(Math.log10(smallest));
  const to = Math.max(from + 1, Math.ceil(Math.log10(greatest)));
  const steps = to - from <= 2 ? [1, 2, 5] : [1];
  const ticks = Array.from({ length: to - from }, (_, index) => index).flatMap((index) =>
    steps.map((step) => step * 10 ** (from + index)),
  );
  return {
    share: (value) => (Math.log10(value) - from) / (to - from),
    ticks: [...ticks, 10 ** to],
  };
}
