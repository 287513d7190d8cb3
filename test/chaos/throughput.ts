/** Successes are counted in windows of this length, in milliseconds. */
const WINDOW_MS = 2_000;
const STEP_MS = 100;

/** Of the rate before, so much has to be back. */
const ENOUGH = 0.95;

/** Successes a second between two times, in milliseconds since 1970. */
export function rateBetween(successes: readonly number[], from: number, to: number): number {
  if (to <= from) return 0;
  return successes.filter((at) => at >= from && at < to).length / ((to - from) / 1_000);
}

/** The rate of the worst second between two times. */
export function worstRate(successes: readonly number[], from: number, to: number): number {
  let worst = Number.POSITIVE_INFINITY;
  for (let at = from; at === from || at + 1_000 <= to; at += STEP_MS)
    worst = Math.min(worst, rateBetween(successes, at, at + 1_000));
  return worst;
}

/**
 * How long after the end of a fault the throughput was back.
 *
 * @param before the rate before the fault, in successes a second
 * @param until up to when successes have been seen
 * @returns milliseconds from the fault's end to the first window with 95 % of the rate before; undefined: not yet.
 */
export function recoveryMs(
  successes: readonly number[],
  before: number,
  faultEnd: number,
  until: number,
): number | undefined {
  for (let from = faultEnd; from + WINDOW_MS <= until; from += STEP_MS)
    if (rateBetween(successes, from, from + WINDOW_MS) >= before * ENOUGH) return from - faultEnd;
  return undefined;
}
