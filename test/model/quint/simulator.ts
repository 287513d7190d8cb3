import { Evaluator } from '@informalsystems/quint/dist/src/runtime/impl/evaluator.js';
import { newTraceRecorder } from '@informalsystems/quint/dist/src/runtime/trace.js';
import { newRng } from '@informalsystems/quint/dist/src/rng.js';
import type { CheckedSpec, QuintEx } from './front-end.js';
import { byJson, plainMap, type Plain } from './plain.js';

/** A state, to come back to. */
export type Saved = ReturnType<Evaluator['ctx']['varStorage']['asRecord']>;

const MODULE = 'simulated';
const PREFIX = 'simulated_';

/**
 * What a specification needs at its end to be simulated: an instance of the module, as anybody would make it, with a name of our own for
 * each definition that is to be looked at.
 */
export function instanceToSimulate(
  name: string,
  bounds: Readonly<Record<string, number | boolean | string>>,
  values: readonly string[],
): string {
  const constants = Object.entries(bounds).map(
    ([constant, value]) => `${constant} = ${JSON.stringify(value)}`,
  );
  return [
    `\nmodule ${MODULE} {`,
    `import ${name}(${constants.join(', ')}).*`,
    ...['init', 'step'].map((each) => `action ${PREFIX}${each} = ${each}`),
    ...values.map((each) => `val ${PREFIX}${each} = ${each}`),
    '}\n',
  ].join('\n');
}

/** Quint's own simulator, one step at a time. */
export class Simulator {
  readonly #evaluator: Evaluator;
  readonly #definitions: ReadonlyMap<string, QuintEx>;

  constructor({ modules, table }: CheckedSpec, seed: number) {
    const rng = newRng(BigInt(seed));
    this.#evaluator = new Evaluator(table, newTraceRecorder(0, rng), rng);
    const module = modules.find(({ name }) => name === MODULE);
    this.#definitions = new Map(
      module?.declarations.flatMap((each) =>
        each.kind === 'def' ? [[each.name.slice(PREFIX.length), each.expr]] : [],
      ),
    );
  }

  /** @returns whether the action could be taken */
  take(action: 'init' | 'step'): boolean {
    if (this.value(action) !== true) return false;
    this.#evaluator.shift();
    return true;
  }

  value(name: string): Plain {
    const expression = this.#definitions.get(name);
    if (expression === undefined) throw new Error(`${name} is not simulated`);
    const result = this.#evaluator.evaluate(expression);
    if (result.isLeft()) throw new Error(result.value.message);
    return fromExpression(result.unwrap());
  }

  save(): Saved {
    return this.#evaluator.ctx.varStorage.asRecord();
  }

  restore(state: Saved): void {
    this.#evaluator.ctx.varStorage.fromRecord(state);
  }

  /** The values of all variables. */
  read(): Record<string, Plain> {
    const variables = [...this.save().toOrderedMap()].map(([variable, value]): [string, Plain] => [
      variable.slice(variable.lastIndexOf(':') + 1),
      fromExpression(value.normalForm().toQuintEx({ nextId: () => 0n })),
    ]);
    return Object.fromEntries(variables);
  }
}

function fromExpression(ex: QuintEx): Plain {
  switch (ex.kind) {
    case 'int':
      return Number(ex.value);
    case 'bool':
    case 'str':
      return ex.value;
    case 'app': {
      const items = ex.args.map(fromExpression);
      switch (ex.opcode) {
        case 'List':
        case 'Tup':
          return items;
        case 'Set':
          return items.sort(byJson);
        case 'variant':
          return { tag: items[0]!, value: items[1]! };
        case 'Rec':
          return Object.fromEntries(
            items.flatMap((field, at) => (at % 2 === 0 ? [[field as string, items[at + 1]!]] : [])),
          );
        case 'Map':
          return plainMap(items as unknown as readonly (readonly [Plain, Plain])[]);
      }
      throw new Error(`${ex.opcode} is not a value`);
    }
    default:
      throw new Error(`${ex.kind} is not a value`);
  }
}
