import type { Counterexample } from './explorer.js';
import type { QuintModel, State } from './quint-model.js';

/** A generator of numbers in [0, 1) that a seed determines (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const oneOf = <T>(random: () => number, all: readonly T[]): T => all[Math.floor(random() * all.length)]!;

/** How likely a kind of step is, by its tag; 1 if it is not named. */
export type Weights = Readonly<Record<string, number>>;

/**
 * One successor at random: first the kind of step, and then among the steps of that kind, so that a kind with many choices does
 * not crowd out the others.
 */
export function randomSuccessor(
  model: QuintModel,
  state: State,
  random: () => number,
  weights: Weights = {},
): State | undefined {
  const kinds = new Map<string, State[]>();
  for (const successor of model.successors(state)) {
    const { tag } = model.step(successor);
    kinds.set(tag, [...(kinds.get(tag) ?? []), successor]);
  }
  const weighed = [...kinds].map(([tag, of]) => ({ of, weight: weights[tag] ?? 1 }));
  let left = random() * weighed.reduce((sum, { weight }) => sum + weight, 0);
  const kind = weighed.find(({ weight }) => (left -= weight) < 0) ?? weighed.at(-1);
  return kind && oneOf(random, kind.of);
}

/** A random way through the model, from an initial state on; shorter if it ends in a state without successors. */
export function walk(model: QuintModel, seed: number, steps: number, weights?: Weights): State[] {
  const random = seeded(seed);
  const states = [oneOf(random, model.initial())];
  while (states.length <= steps) {
    const next = randomSuccessor(model, states.at(-1)!, random, weights);
    if (next === undefined) break;
    states.push(next);
  }
  return states;
}

export interface Walks {
  readonly walks: number;
  readonly steps: number;
  readonly counterexample: Counterexample | undefined;
}

/** Checks the invariants on random walks. For instances that are too large to be explored. */
export function checkWalks(
  model: QuintModel,
  invariants: readonly string[],
  {
    walks,
    steps,
    seed = 1,
    weights,
  }: { readonly walks: number; readonly steps: number; readonly seed?: number; readonly weights?: Weights },
): Walks {
  let taken = 0;
  for (let nth = 0; nth < walks; nth++) {
    const states = walk(model, seed + nth, steps, weights);
    taken += states.length - 1;
    for (const [at, state] of states.entries()) {
      const violated = invariants.find((invariant) => !model.holds(invariant, state));
      if (violated !== undefined) {
        return {
          walks: nth + 1,
          steps: taken,
          counterexample: { violated, states: states.slice(0, at + 1) },
        };
      }
    }
  }
  return { walks, steps: taken, counterexample: undefined };
}
