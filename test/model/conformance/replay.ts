import { isDeepStrictEqual } from 'node:util';
import { describeStep } from '../explorer.js';
import type { Plain } from '../quint/plain.js';
import type { QuintModel, State, Step } from '../quint-model.js';
import { randomSuccessor, seeded, type Weights } from '../walks.js';

/** The real engine, as a replay drives it. */
export interface Engine {
  /** Does for real what a step of the model says. */
  perform(step: Step): Promise<void>;
  /** What the database says now, in the model's terms: some or all of its variables. */
  observe(): Promise<Readonly<Record<string, Plain>>>;
}

export interface ReplayOptions {
  readonly seed: number;
  readonly steps: number;
  readonly weights?: Weights;
  /** The model's state in the terms in which the engine is observed. Without it, `observe` speaks of variables. */
  readonly project?: (state: Readonly<Record<string, Plain>>) => Readonly<Record<string, Plain>>;
  /**
   * Whether both steps are the same operation with the same inputs, so that the engine may do either: then the replay goes on with what
   * it did. Without it the engine has to do what the model did.
   */
  readonly sameOperation?: (step: Step, other: Step) => boolean;
  /** Hears of each state that both are in. */
  readonly onState?: (state: State) => void;
}

/**
 * Takes a random walk through the model, and each of its steps for real; after each, the two have to be in the same state.
 *
 * @returns the steps
 * @throws with the whole way to the first difference
 */
export async function replay(
  model: QuintModel,
  engine: Engine,
  { seed, steps, weights, project = (state) => state, sameOperation, onState }: ReplayOptions,
): Promise<Step[]> {
  const random = seeded(seed);
  const taken: Step[] = [];
  let state = model.initial()[0]!;
  while (taken.length < steps) {
    const chosen = randomSuccessor(model, state, random, weights);
    if (chosen === undefined) break;
    const step = model.step(chosen);
    taken.push(step);
    const fail = (what: string): Error =>
      new Error(
        [`walk ${seed}`, ...taken.map((each, at) => `${at + 1}. ${describeStep(each)}`), what].join(
          '\n      ',
        ),
      );
    let seen: Readonly<Record<string, Plain>>;
    try {
      await engine.perform(step);
      seen = await engine.observe();
    } catch (error) {
      throw Object.assign(fail(error instanceof Error ? error.message : String(error)), { cause: error });
    }
    const agreeing = [
      chosen,
      ...(sameOperation === undefined
        ? []
        : model.successors(state).filter((other) => sameOperation(step, model.step(other)))),
    ].find((other) => agrees(project(model.read(other)), seen));
    if (agreeing === undefined) throw fail(differences(project(model.read(chosen)), seen));
    taken[taken.length - 1] = model.step(agreeing);
    state = agreeing;
    onState?.(state);
  }
  return taken;
}

type Facts = Readonly<Record<string, Plain>>;

const agrees = (expected: Facts, seen: Facts): boolean =>
  Object.entries(seen).every(([name, value]) => isDeepStrictEqual(value, expected[name]));

function differences(expected: Facts, seen: Facts): string {
  return Object.entries(seen)
    .filter(([name, value]) => !isDeepStrictEqual(value, expected[name]))
    .map(
      ([name, value]) =>
        `${name}: the model has ${JSON.stringify(expected[name])}, the engine ${JSON.stringify(value)}`,
    )
    .join('; ');
}

/** How often each kind of step was taken. */
export function countKinds(steps: readonly Step[]): Record<string, number> {
  const kinds: Record<string, number> = {};
  for (const { tag } of steps) kinds[tag] = (kinds[tag] ?? 0) + 1;
  return kinds;
}
