import { casesOf, Cells, enter, pick } from './bindings.js';
import type { LookupDefinition, LookupTable, QuintEx, QuintLambda, QuintOpDef } from './front-end.js';
import { BUILTINS, FOLDS, HIGHER_ORDER } from './builtins.js';
import type { Callable, Evaluate, Machine, Slot } from './machine.js';
import { bool, composite, type Value, type ValueStore } from './value.js';

/** Turns checked expressions of a specification into functions that give their value. */
export class ExpressionCompiler {
  readonly #values = new Map<bigint, Evaluate>();
  /** Definitions inside of others: how to get their value, nothing for a choice. */
  readonly #locals = new Map<bigint, Evaluate | undefined>();
  readonly #operators = new Map<bigint, Callable>();

  readonly cells = new Cells();

  /** @param constants by name */
  constructor(
    readonly table: LookupTable,
    private readonly store: ValueStore,
    private readonly machine: Machine,
    private readonly constants: ReadonlyMap<string, Value>,
  ) {}

  /** The value of a definition without parameters. Kept as long as the state is the same. */
  value(def: QuintOpDef): Evaluate {
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
        const cell = this.cells.of(def.id);
        return () => cell.value as Value;
      }
      case 'var': {
        const { machine } = this;
        const at = this.machine.position(def.name);
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
        const cell = this.cells.of(def.id);
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
      const given = args.map((arg) => this.argument(arg));
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
        const [a, b] = this.#two(args);
        return () => !bool(a()) || bool(b());
      }
      case 'ite': {
        const condition = this.expression(args[0]!);
        const [yes, no] = this.#two(args.slice(1));
        return () => (bool(condition()) ? yes() : no());
      }
      case 'matchVariant': {
        const subject = this.expression(args[0]!);
        const cases = casesOf(args, (expr) => this.callable(expr));
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
      const [subject, start] = this.#two(args);
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

  /** What an operator is called with: a value or another operator. */
  argument(expr: QuintEx): () => Slot {
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
      const cell = this.cells.of(def.id);
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
    const cells = lambda.params.map(({ id }) => this.cells.of(id));
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
  #within(opdef: QuintOpDef, expr: QuintEx): Evaluate {
    if (opdef.expr.kind === 'lambda') return this.expression(expr);
    this.declare(opdef);
    const cell = this.cells.of(opdef.id);
    const body = this.expression(expr);
    return () => {
      const before = cell.value;
      cell.value = undefined;
      const result = body();
      cell.value = before;
      return result;
    };
  }

  /** Says how a definition inside of another is evaluated, before what refers to it is compiled. */
  declare(opdef: QuintOpDef): void {
    this.#locals.set(opdef.id, this.expression(opdef.expr));
  }

  /** The same for a choice: whoever chooses puts the value into its cell. */
  declareChoice(opdef: QuintOpDef): void {
    this.#locals.set(opdef.id, undefined);
  }

  #two(args: readonly QuintEx[]): [Evaluate, Evaluate] {
    return [this.expression(args[0]!), this.expression(args[1]!)];
  }
}
