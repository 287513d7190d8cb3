import { casesOf, enter, pick } from './bindings.js';
import type { ExpressionCompiler } from './expression-compiler.js';
import type { QuintEx, QuintOpDef } from './front-end.js';
import type { Act, Cell, Machine, Slot } from './machine.js';
import { bool, composite, int } from './value.js';

/**
 * Turns actions into functions that go through all ways in which they can be taken: at each choice they continue with one possibility after
 * the other, and take back what they did to the next state in between.
 */
export class ActionCompiler {
  readonly #actions = new Map<bigint, Act>();

  constructor(
    private readonly expressions: ExpressionCompiler,
    private readonly machine: Machine,
  ) {}

  action(expr: QuintEx): Act {
    switch (expr.kind) {
      case 'name': {
        const def = this.expressions.table.get(expr.id);
        if (def?.kind === 'def' && isAction(def)) return this.#actionOf(def);
        break;
      }
      case 'let':
        return this.#actionWithin(expr.opdef, expr.expr);
      case 'app': {
        const def = this.expressions.table.get(expr.id);
        if (def?.kind === 'def' && isAction(def)) return this.#actionCall(def, expr.args);
        if (def === undefined) {
          const act = this.#builtinAction(expr.opcode, expr.args);
          if (act !== undefined) return act;
        }
        break;
      }
    }
    const condition = this.expressions.expression(expr);
    return (found) => {
      if (bool(condition())) found();
    };
  }

  #actionOf(def: QuintOpDef): Act {
    let act = this.#actions.get(def.id);
    if (act === undefined) {
      act = this.action(def.expr.kind === 'lambda' ? def.expr.expr : def.expr);
      this.#actions.set(def.id, act);
    }
    return act;
  }

  #actionCall(def: QuintOpDef, args: readonly QuintEx[]): Act {
    if (def.expr.kind !== 'lambda') throw new Error(`${def.name} has no parameters`);
    return this.#actionWith(
      def.expr.params.map(({ id }) => this.expressions.cells.of(id)),
      args.map((arg) => this.expressions.argument(arg)),
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

  #actionWithin(opdef: QuintOpDef, expr: QuintEx): Act {
    const cell = this.expressions.cells.of(opdef.id);
    if (opdef.qualifier === 'nondet') {
      if (opdef.expr.kind !== 'app' || opdef.expr.opcode !== 'oneOf') throw new Error('nondet without oneOf');
      this.expressions.declareChoice(opdef);
      const set = this.expressions.expression(opdef.expr.args[0]!);
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
    this.expressions.declare(opdef);
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
        const def = this.expressions.table.get(target.id);
        if (def?.kind !== 'var') throw new Error('an assignment to something else than a variable');
        const at = this.machine.position(def.name);
        const value = this.expressions.expression(args[1]!);
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
        const condition = this.expressions.expression(args[0]!);
        const [yes, no] = [this.action(args[1]!), this.action(args[2]!)];
        return (found) => (bool(condition()) ? yes(found) : no(found));
      }
      case 'matchVariant': {
        const subject = this.expressions.expression(args[0]!);
        const cases = casesOf(args, (expr) => {
          if (expr.kind !== 'lambda') throw new Error('a case of a match is not a lambda');
          return { cell: this.expressions.cells.of(expr.params[0]!.id), act: this.action(expr.expr) };
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
    const times = this.expressions.expression(count!);
    const cell = this.expressions.cells.of(lambda.params[0]!.id);
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
}

const isAction = ({ qualifier }: QuintOpDef): boolean => qualifier === 'action' || qualifier === 'run';
