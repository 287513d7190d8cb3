import type { LookupDefinition, LookupTable, QuintEx, QuintLambda, QuintOpDef } from './front-end.js';
import { BUILTINS, FOLDS, HIGHER_ORDER } from './builtins.js';
import type { Act, Callable, Cell, Evaluate, Machine, Slot } from './machine.js';
import { bool, composite, int, type Value, type ValueStore } from './value.js';

type Operator = QuintOpDef;

/**
 * Turns checked expressions of a specification into functions.
 *
 * An expression without effect becomes a function that gives its value. An action becomes one that goes through all ways in which it can
 * be taken: at each choice it continues with one possibility after the other, and takes back what it did to the next state in between.
 */
export class Compiler {
  readonly #cells = new Map<bigint, Cell>();
  readonly #values = new Map<bigint, Evaluate>();
  /** Definitions inside of others: how to get their value, nothing for a choice. */
  readonly #locals = new Map<bigint, Evaluate | undefined>();
  readonly #operators = new Map<bigint, Callable>();
  readonly #actions = new Map<bigint, Act>();

  /** @param constants by name */
  constructor(
    private readonly table: LookupTable,
    private readonly store: ValueStore,
    private readonly machine: Machine,
    private readonly constants: ReadonlyMap<string, Value>,
  ) {}

  /** The value of a definition without parameters. Kept as long as the state is the same. */
  value(def: Operator): Evaluate {
    let found = this.#values.get(def.id);
    if (found === undefined) {
      const body = this.expression(def.expr);
      const { machine } = this;
      const isConstant = def.qualifier === 'pureval';
      let at = -1;
      let kept: Value | undefined;
      found = () => {
        if (kept === undefined || (!isConstant && at !== machine.stamp)) {
          kept = body();
          at = machine.stamp;
        }
        return kept;
      };
      this.#values.set(def.id, found);
    }
    return found;
  }

  expression(expr: QuintEx): Evaluate {
    switch (expr.kind) {
      case 'bool':
      case 'str': {
        const { value } = expr;
        return () => value;
      }
      case 'int': {
        const value = Number(expr.value);
        return () => value;
      }
      case 'name':
        return this.#name(expr.id, expr.name);
      case 'lambda':
        throw new Error('an operator stands where a value is expected');
      case 'let':
        return this.#within(expr.opdef, expr.expr);
      case 'app':
        return this.#application(expr.opcode, expr.args, expr.id);
    }
  }

  #name(id: bigint, name: string): Evaluate {
    const def = this.table.get(id);
    switch (def?.kind) {
      case undefined:
        if (name === 'Bool') return () => this.store.set([false, true]);
        throw new Error(`${name} is not supported here`);
      case 'param': {
        const cell = this.#cell(def.id);
        return () => cell.value as Value;
      }
      case 'var': {
        const { machine } = this;
        const at = this.#variable(def.name);
        return () => {
          const value = machine.current[at];
          if (value === undefined) throw new Error(`${name} has no value yet`);
          return value;
        };
      }
      case 'const': {
        const value = this.constants.get(def.name);
        if (value === undefined) throw new Error(`the constant ${def.name} is not given`);
        return () => value;
      }
      case 'def': {
        if (!this.#locals.has(def.id)) return this.value(def);
        const cell = this.#cell(def.id);
        const body = this.#locals.get(def.id);
        return body === undefined ? () => cell.value as Value : () => (cell.value ??= body()) as Value;
      }
      default:
        throw new Error(`${name} has no value`);
    }
  }

  #application(opcode: string, args: readonly QuintEx[], id: bigint): Evaluate {
    const def = this.table.get(id);
    if (def !== undefined) {
      const given = args.map((arg) => this.#argument(arg));
      const operator = this.#operator(def);
      return () => operator(...given.map((arg) => arg()));
    }
    const { store } = this;
    const lambda = args.at(-1)!;
    switch (opcode) {
      case 'and':
      case 'or': {
        const parts = args.map((arg) => this.expression(arg));
        return opcode === 'and'
          ? () => parts.every((part) => bool(part()))
          : () => parts.some((part) => bool(part()));
      }
      case 'implies': {
        const [a, b] = this.#values2(args);
        return () => !bool(a()) || bool(b());
      }
      case 'ite': {
        const condition = this.expression(args[0]!);
        const [yes, no] = this.#values2(args.slice(1));
        return () => (bool(condition()) ? yes() : no());
      }
      case 'matchVariant': {
        const subject = this.expression(args[0]!);
        const cases = this.#cases(args, (expr) => this.callable(expr));
        return () => {
          const variant = composite(subject());
          return pick(cases, variant.shape)(variant.items[0]!);
        };
      }
    }
    if (opcode in HIGHER_ORDER) {
      const subject = this.expression(args[0]!);
      const operator = this.callable(lambda);
      const apply = HIGHER_ORDER[opcode]!;
      return () => apply(store, subject(), operator);
    }
    if (opcode in FOLDS) {
      const [subject, start] = this.#values2(args);
      const operator = this.callable(lambda);
      const apply = FOLDS[opcode]!;
      return () => apply(store, subject(), start(), operator);
    }
    const apply = BUILTINS[opcode];
    if (apply === undefined) throw new Error(`${opcode} is not supported`);
    const given = args.map((arg) => this.expression(arg));
    const [a, b] = given;
    if (a !== undefined && given.length === 1) return () => apply(store, a());
    if (a !== undefined && b !== undefined && given.length === 2) return () => apply(store, a(), b());
    return () => apply(store, ...given.map((arg) => arg()));
  }

  /** An operator that is passed to another one. */
  callable(expr: QuintEx): Callable {
    if (expr.kind === 'lambda') return this.#lambda(expr, this.expression(expr.expr));
    if (expr.kind === 'name') {
      const def = this.table.get(expr.id);
      if (def !== undefined) return this.#operator(def);
    }
    throw new Error('an operator is expected');
  }

  #argument(expr: QuintEx): () => Slot {
    if (expr.kind === 'lambda') {
      const operator = this.callable(expr);
      return () => operator;
    }
    if (expr.kind === 'name') {
      const def = this.table.get(expr.id);
      if (def?.kind === 'def' && def.expr.kind === 'lambda') {
        const operator = this.#operator(def);
        return () => operator;
      }
    }
    return this.expression(expr);
  }

  #operator(def: LookupDefinition): Callable {
    if (def.kind === 'param') {
      const cell = this.#cell(def.id);
      return (...args) => (cell.value as Callable)(...args);
    }
    if (def.kind !== 'def') throw new Error('an operator is expected');
    let found = this.#operators.get(def.id);
    if (found === undefined) {
      if (def.expr.kind !== 'lambda') throw new Error(`${def.name} is not an operator with parameters`);
      found = this.#lambda(def.expr, this.expression(def.expr.expr));
      this.#operators.set(def.id, found);
    }
    return found;
  }

  #lambda(lambda: QuintLambda, body: Evaluate): Callable {
    const cells = lambda.params.map(({ id }) => this.#cell(id));
    const [only] = cells;
    if (only !== undefined && cells.length === 1) {
      return (arg) => {
        const before = only.value;
        only.value = arg;
        const result = body();
        only.value = before;
        return result;
      };
    }
    return (...args) => {
      const before = enter(cells, args);
      const result = body();
      enter(cells, before);
      return result;
    };
  }

  /** An expression with the definition that it may refer to, which is evaluated when it is first needed. */
  #within(opdef: Operator, expr: QuintEx): Evaluate {
    if (opdef.expr.kind === 'lambda') return this.expression(expr);
    this.#locals.set(opdef.id, this.expression(opdef.expr));
    const cell = this.#cell(opdef.id);
    const body = this.expression(expr);
    return () => {
      const before = cell.value;
      cell.value = undefined;
      const result = body();
      cell.value = before;
      return result;
    };
  }

  action(expr: QuintEx): Act {
    switch (expr.kind) {
      case 'name': {
        const def = this.table.get(expr.id);
        if (def?.kind === 'def' && isAction(def)) return this.#actionOf(def);
        break;
      }
      case 'let':
        return this.#actionWithin(expr.opdef, expr.expr);
      case 'app': {
        const def = this.table.get(expr.id);
        if (def?.kind === 'def' && isAction(def)) return this.#actionCall(def, expr.args);
        if (def === undefined) {
          const act = this.#builtinAction(expr.opcode, expr.args);
          if (act !== undefined) return act;
        }
        break;
      }
    }
    const condition = this.expression(expr);
    return (found) => {
      if (bool(condition())) found();
    };
  }

  #actionOf(def: Operator): Act {
    let act = this.#actions.get(def.id);
    if (act === undefined) {
      act = this.action(def.expr.kind === 'lambda' ? def.expr.expr : def.expr);
      this.#actions.set(def.id, act);
    }
    return act;
  }

  #actionCall(def: Operator, args: readonly QuintEx[]): Act {
    if (def.expr.kind !== 'lambda') throw new Error(`${def.name} has no parameters`);
    return this.#actionWith(
      def.expr.params.map(({ id }) => this.#cell(id)),
      args.map((arg) => this.#argument(arg)),
      this.#actionOf(def),
    );
  }

  #actionWith(cells: readonly Cell[], args: readonly (() => Slot)[], act: Act): Act {
    return (found) => {
      const before = enter(
        cells,
        args.map((arg) => arg()),
      );
      act(found);
      enter(cells, before);
    };
  }

  #actionWithin(opdef: Operator, expr: QuintEx): Act {
    const cell = this.#cell(opdef.id);
    if (opdef.qualifier === 'nondet') {
      if (opdef.expr.kind !== 'app' || opdef.expr.opcode !== 'oneOf') throw new Error('nondet without oneOf');
      this.#locals.set(opdef.id, undefined);
      const set = this.expression(opdef.expr.args[0]!);
      const act = this.action(expr);
      return (found) => {
        const before = cell.value;
        for (const value of composite(set()).items) {
          cell.value = value;
          act(found);
        }
        cell.value = before;
      };
    }
    if (isAction(opdef) || opdef.expr.kind === 'lambda') return this.action(expr);
    this.#locals.set(opdef.id, this.expression(opdef.expr));
    const act = this.action(expr);
    return (found) => {
      const before = cell.value;
      cell.value = undefined;
      act(found);
      cell.value = before;
    };
  }

  #builtinAction(opcode: string, args: readonly QuintEx[]): Act | undefined {
    const { machine } = this;
    switch (opcode) {
      case 'assign': {
        const target = args[0]!;
        const def = this.table.get(target.id);
        if (def?.kind !== 'var') throw new Error('an assignment to something else than a variable');
        const at = this.#variable(def.name);
        const value = this.expression(args[1]!);
        return (found) => {
          const { next } = machine;
          const before = next[at];
          next[at] = value();
          found();
          next[at] = before;
        };
      }
      case 'actionAll': {
        const acts = args.map((arg) => this.action(arg));
        const from = (at: number, found: () => void): void => {
          const act = acts[at];
          if (act === undefined) found();
          else act(() => from(at + 1, found));
        };
        return (found) => from(0, found);
      }
      case 'actionAny': {
        const acts = args.map((arg) => this.action(arg));
        return (found) => {
          for (const act of acts) act(found);
        };
      }
      case 'ite': {
        const condition = this.expression(args[0]!);
        const [yes, no] = [this.action(args[1]!), this.action(args[2]!)];
        return (found) => (bool(condition()) ? yes(found) : no(found));
      }
      case 'matchVariant': {
        const subject = this.expression(args[0]!);
        const cases = this.#cases(args, (expr) => {
          if (expr.kind !== 'lambda') throw new Error('a case of a match is not a lambda');
          return { cell: this.#cell(expr.params[0]!.id), act: this.action(expr.expr) };
        });
        return (found) => {
          const variant = composite(subject());
          const { cell, act } = pick(cases, variant.shape);
          const before = cell.value;
          cell.value = variant.items[0]!;
          act(found);
          cell.value = before;
        };
      }
      case 'then': {
        const [first, second] = [this.action(args[0]!), this.action(args[1]!)];
        return (found) => first(() => machine.shifted(() => second(found)));
      }
      case 'reps':
        return this.#repetition(args);
      default:
        return undefined;
    }
  }

  #repetition([count, lambda]: readonly QuintEx[]): Act {
    const { machine } = this;
    if (lambda?.kind !== 'lambda') throw new Error('reps needs a lambda');
    const times = this.expression(count!);
    const cell = this.#cell(lambda.params[0]!.id);
    const act = this.action(lambda.expr);
    return (found) => {
      const n = int(times());
      const from = (at: number): void => {
        cell.value = at;
        act(() => (at + 1 === n ? found() : machine.shifted(() => from(at + 1))));
      };
      from(0);
    };
  }

  #cases<T>(args: readonly QuintEx[], compile: (expr: QuintEx) => T): ReadonlyMap<string, T> {
    const cases = new Map<string, T>();
    for (let at = 1; at < args.length; at += 2) {
      const label = args[at]!;
      if (label.kind !== 'str') throw new Error('a case of a match has no label');
      cases.set(label.value, compile(args[at + 1]!));
    }
    return cases;
  }

  #values2(args: readonly QuintEx[]): [Evaluate, Evaluate] {
    return [this.expression(args[0]!), this.expression(args[1]!)];
  }

  #cell(id: bigint): Cell {
    let cell = this.#cells.get(id);
    if (cell === undefined) {
      cell = { value: undefined };
      this.#cells.set(id, cell);
    }
    return cell;
  }

  #variable(name: string): number {
    const at = this.machine.variables.indexOf(name);
    if (at < 0) throw new Error(`there is no variable ${name}`);
    return at;
  }
}

const isAction = ({ qualifier }: Operator): boolean => qualifier === 'action' || qualifier === 'run';

function enter(cells: readonly Cell[], values: readonly (Slot | undefined)[]): (Slot | undefined)[] {
  return cells.map((cell, at) => {
    const before = cell.value;
    cell.value = values[at];
    return before;
  });
}

function pick<T>(cases: ReadonlyMap<string, T>, label: string): T {
  const found = cases.get(label) ?? cases.get('_');
  if (found === undefined) throw new Error(`no case for ${label}`);
  return found;
}
