import { isDeepStrictEqual } from 'node:util';
import { describeStep } from './explorer.js';
import { instancesOf, specFile, type ModelRow } from './models.js';
import { checkSpec } from './quint/front-end.js';
import type { Plain } from './quint/plain.js';
import { instanceToSimulate, Simulator } from './quint/simulator.js';
import { QuintModel, type State } from './quint-model.js';

export interface Comparison {
  /** Steps of Quint's simulator that were among the explorer's successors, with the same values in each state. */
  readonly steps: number;
  /** Successors of one state that Quint's simulator took, too. */
  readonly successors: number;
}

/**
 * Holds the explorer against Quint's own simulator, which goes one random way: each of its steps has to be among the successors that the
 * explorer knows, each invariant and witness has to have the same value, and where it stops, nothing may be left to do. From one state on
 * the way, it takes steps until it has taken all that the explorer knows.
 *
 * @param options branchAfter: the one state comes after so many steps; tries: so many steps are taken from it, at random
 * @throws at the first difference
 */
export async function compareWithQuint(
  { name, explore, invariants, witnesses, settleSteps }: ModelRow,
  {
    seed = 1,
    steps = 40,
    branchAfter = 6,
    tries = 400,
  }: {
    readonly seed?: number;
    readonly steps?: number;
    readonly branchAfter?: number;
    readonly tries?: number;
  } = {},
): Promise<Comparison> {
  const bounds = { DEFECT: 'none', ...instancesOf(explore.long)[0]! };
  const values = [...invariants, ...witnesses, ...(settleSteps === undefined ? [] : ['settled'])];
  const spec = await checkSpec(specFile(name), instanceToSimulate(name, bounds, values));
  const model = new QuintModel(spec, name, bounds);
  const simulator = new Simulator(spec, seed);

  const follow = (states: readonly State[]): State => {
    const seen = simulator.read();
    const state = states.find((each) => isDeepStrictEqual(model.readAll(each), seen));
    if (state === undefined) throw new Error(`the explorer does not know ${JSON.stringify(seen)}`);
    for (const value of values) {
      if (simulator.value(value) !== model.value(value, state)) {
        throw new Error(
          `${value} is ${JSON.stringify(model.value(value, state))} in ${JSON.stringify(seen)}`,
        );
      }
    }
    return state;
  };
  const walk = (from: State, most: number): [State, number] => {
    let state = from;
    for (let taken = 0; taken < most; taken++) {
      const successors = model.successors(state);
      if (!simulator.take('step')) {
        if (successors.length > 0)
          throw new Error(`Quint takes no step from ${JSON.stringify(simulator.read())}`);
        return [state, taken];
      }
      state = follow(successors);
    }
    return [state, most];
  };

  if (!simulator.take('init')) throw new Error('Quint finds no initial state');
  const [branching, before] = walk(follow(model.initial()), branchAfter);
  const here = simulator.save();
  const untaken = new Set(model.successors(branching));
  const successors = untaken.size;
  for (let nth = 0; nth < tries && untaken.size > 0; nth++) {
    simulator.restore(here);
    if (!simulator.take('step')) break;
    const seen: Readonly<Record<string, Plain>> = simulator.read();
    for (const state of untaken) if (isDeepStrictEqual(model.readAll(state), seen)) untaken.delete(state);
  }
  if (untaken.size > 0) {
    const described = [...untaken].map((state) => describeStep(model.step(state)));
    throw new Error(`in ${tries} steps, Quint never took ${described.join(' or ')}`);
  }
  simulator.restore(here);
  const [, after] = walk(branching, steps - before);
  return { steps: before + after, successors };
}
