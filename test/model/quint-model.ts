import { ActionCompiler } from './quint/action-compiler.js';
import { ExpressionCompiler } from './quint/expression-compiler.js';
import { type CheckedSpec, checkSpec, type QuintOpDef } from './quint/front-end.js';
import { Machine, type Act, type Evaluate } from './quint/machine.js';
import { toPlain, type Plain } from './quint/plain.js';
import { bool, ValueStore, type Value } from './quint/value.js';

/** The values of a specification's constants. */
export type Bounds = Readonly<Record<string, number | boolean | string>>;

/** A state of a model: the values of its variables. */
export interface State {
  readonly values: readonly Value[];
  /** Equal for states that differ in nothing but `last`. */
  readonly key: string;
}

/** What the last step was, as the variable `last` tells it. */
export interface Step {
  readonly tag: string;
  readonly value: Plain;
}

/** The variable that says how a state was reached, and is no part of it. */
const LAST = 'last';

/** By file: to check a specification takes longer than to explore a small instance of it. */
const checked = new Map<string, Promise<CheckedSpec>>();

/**
 * A specification in Quint that can be driven: its initial states, and all successors of any state.
 *
 * Quint's own package parses and checks it. Its evaluator is a simulator: it takes one successor at random, some hundred times a second.
 * Here every choice is gone through instead, some ten thousand times a second; `compare-with-quint.ts` holds the two against each other.
 */
export class QuintModel {
  readonly variables: readonly string[];
  readonly #store = new ValueStore();
  readonly #machine: Machine;
  readonly #expressions: ExpressionCompiler;
  readonly #actions: ActionCompiler;
  readonly #definitions: ReadonlyMap<string, QuintOpDef>;
  readonly #last: number;
  readonly #acts = new Map<string, Act>();
  readonly #values = new Map<string, Evaluate>();

  constructor(
    spec: CheckedSpec,
    readonly name: string,
    bounds: Bounds,
  ) {
    const module = spec.modules.find((each) => each.name === name);
    if (module === undefined) throw new Error(`there is no module ${name}`);
    const constants = module.declarations.flatMap((each) => (each.kind === 'const' ? [each.name] : []));
    const wrong = [
      ...constants.filter((each) => !(each in bounds)).map((each) => `${each} is not given`),
      ...Object.keys(bounds)
        .filter((each) => !constants.includes(each))
        .map((each) => `there is no constant ${each}`),
    ];
    if (wrong.length > 0) throw new Error(`module ${name}: ${wrong.join(', ')}`);
    this.variables = module.declarations.flatMap((each) => (each.kind === 'var' ? [each.name] : []));
    this.#last = this.variables.indexOf(LAST);
    this.#definitions = new Map(
      module.declarations.flatMap((each) => (each.kind === 'def' ? [[each.name, each]] : [])),
    );
    this.#machine = new Machine(this.variables);
    const constantValues = new Map(Object.entries(bounds));
    this.#expressions = new ExpressionCompiler(spec.table, this.#store, this.#machine, constantValues);
    this.#actions = new ActionCompiler(this.#expressions, this.#machine);
  }

  /** @param bounds all constants of the module, `DEFECT` too */
  static async load(file: string, name: string, bounds: Bounds): Promise<QuintModel> {
    let spec = checked.get(file);
    if (spec === undefined) {
      spec = checkSpec(file);
      checked.set(file, spec);
    }
    return new QuintModel(await spec, name, bounds);
  }

  initial(): State[] {
    return this.#take('init', []);
  }

  /** All states that the action leads to from this one, in the order of the specification's choices. Equal ones come once. */
  successors(state: State, action = 'step'): State[] {
    return this.#take(action, state.values);
  }

  holds(name: string, state: State): boolean {
    return bool(this.#evaluate(name, state));
  }

  /** The value of a definition without parameters. */
  value(name: string, state: State): Plain {
    return toPlain(this.#evaluate(name, state), this.#store);
  }

  step(state: State): Step {
    return toPlain(state.values[this.#last]!, this.#store) as unknown as Step;
  }

  /** The variables' values, without `last`. */
  read(state: State): Record<string, Plain> {
    const { [LAST]: _, ...values } = this.readAll(state);
    return values;
  }

  readAll(state: State): Record<string, Plain> {
    return Object.fromEntries(
      this.variables.map((name, at) => [name, toPlain(state.values[at]!, this.#store)]),
    );
  }

  #evaluate(name: string, state: State): Value {
    let value = this.#values.get(name);
    if (value === undefined) {
      value = this.#expressions.value(this.#definition(name));
      this.#values.set(name, value);
    }
    this.#machine.enter(state.values);
    return value();
  }

  #take(action: string, from: readonly Value[]): State[] {
    let act = this.#acts.get(action);
    if (act === undefined) {
      act = this.#actions.action({ kind: 'name', name: action, id: this.#definition(action).id });
      this.#acts.set(action, act);
    }
    const found = new Map<string, State>();
    this.#machine.enter(from);
    act(() => {
      const values = this.#machine.taken();
      const key = this.#store.key(values);
      if (!found.has(key)) found.set(key, { values, key: this.#identity(values, key) });
    });
    return [...found.values()];
  }

  #identity(values: readonly Value[], key: string): string {
    return this.#last < 0 ? key : this.#store.key(values.toSpliced(this.#last, 1));
  }

  #definition(name: string): QuintOpDef {
    const definition = this.#definitions.get(name);
    if (definition === undefined) throw new Error(`module ${this.name} does not define ${name}`);
    return definition;
  }
}
