import type { QuintModel, State, Step } from './quint-model.js';

/** What is checked in every reachable state. */
export interface Checks {
  readonly invariants: readonly string[];
  /** What has to hold in at least one state: else an invariant may hold because nothing ever happens. */
  readonly witnesses?: readonly string[];
  /** From every state, so many steps of `settle` at most lead to one in which `settled` holds. */
  readonly settleSteps?: number | undefined;
}

/** A shortest way to a state that must not be. */
export interface Counterexample {
  /** The invariant's name, or `settled`. */
  readonly violated: string;
  readonly states: readonly State[];
}

export interface Exploration {
  readonly states: number;
  readonly transitions: number;
  /** The longest of all shortest ways to a state. */
  readonly depth: number;
  readonly unreached: readonly string[];
  readonly counterexample: Counterexample | undefined;
}

/** The name under which a state is reported from which the model does not settle. */
export const SETTLED = 'settled';

/**
 * Goes through all reachable states, breadth first, and ends at the first that violates something.
 *
 * @param maxStates more are an error: the bounds were meant to be small
 */
export function explore(model: QuintModel, checks: Checks, maxStates = 3_000_000): Exploration {
  const found: State[] = [];
  const parents: number[] = [];
  const known = new Set<string>();
  const unreached = new Set(checks.witnesses);
  const settling = new Map<string, number>();
  let transitions = 0;
  let depth = 0;

  const visit = (state: State, parent: number): Counterexample | undefined => {
    known.add(state.key);
    found.push(state);
    parents.push(parent);
    const violated = checks.invariants.find((invariant) => !model.holds(invariant, state));
    if (violated !== undefined) return { violated, states: traceTo(found.length - 1, found, parents) };
    if (checks.settleSteps === undefined) return undefined;
    const tail = unsettled(model, state, checks.settleSteps, settling);
    return tail && { violated: SETTLED, states: [...traceTo(found.length - 1, found, parents), ...tail] };
  };
  // A witness may be about the last step, which is no part of a state: so every transition counts.
  const witness = (state: State): void => {
    for (const each of unreached) if (model.holds(each, state)) unreached.delete(each);
  };
  const result = (counterexample?: Counterexample): Exploration => ({
    states: found.length,
    transitions,
    depth,
    unreached: [...unreached],
    counterexample,
  });

  for (const state of model.initial()) {
    witness(state);
    const counterexample = visit(state, -1);
    if (counterexample !== undefined) return result(counterexample);
  }
  let endOfLevel = found.length;
  for (let at = 0; at < found.length; at++) {
    if (at === endOfLevel) {
      depth++;
      endOfLevel = found.length;
    }
    for (const state of model.successors(found[at]!)) {
      transitions++;
      witness(state);
      if (known.has(state.key)) continue;
      const counterexample = visit(state, at);
      if (counterexample !== undefined) return result(counterexample);
    }
    if (found.length > maxStates) throw new Error(`more than ${maxStates} states: the bounds are too large`);
  }
  return result();
}

/** The steps as they were taken, one a line. */
export function describeTrace(model: QuintModel, states: readonly State[]): string[] {
  return states.map((state, at) => `${at}. ${describeStep(model.step(state))}`);
}

export function describeStep({ tag, value }: Step): string {
  return Array.isArray(value) && value.length === 0 ? tag : `${tag} ${JSON.stringify(value)}`;
}

function traceTo(end: number, found: readonly State[], parents: readonly number[]): State[] {
  const trace: State[] = [];
  for (let at = end; at >= 0; at = parents[at]!) trace.push(found[at]!);
  return trace.toReversed();
}

/**
 * The steps of `settle` that lead nowhere; nothing if the state settles.
 *
 * @param known of states that settle, in how many steps
 */
function unsettled(
  model: QuintModel,
  from: State,
  most: number,
  known: Map<string, number>,
): State[] | undefined {
  const path: State[] = [];
  let state = from;
  let left = known.get(state.key);
  while (left === undefined) {
    if (model.holds(SETTLED, state)) left = 0;
    else if (path.length === most) return path;
    else {
      const [next] = model.successors(state, 'settle');
      if (next === undefined) return path;
      path.push(next);
      state = next;
      left = known.get(state.key);
    }
  }
  if (path.length + left > most) return path;
  const all = [from, ...path];
  all.forEach((each, at) => known.set(each.key, left + path.length - at));
  return undefined;
}
