import type { QuintEx } from './front-end.js';
import type { Cell, Slot } from './machine.js';

/** Where the values of names are. */
export class Cells {
  readonly #cells = new Map<bigint, Cell>();

  of(id: bigint): Cell {
    let cell = this.#cells.get(id);
    if (cell === undefined) {
      cell = { value: undefined };
      this.#cells.set(id, cell);
    }
    return cell;
  }
}

/** Gives cells their values, and answers with those that they had. */
export function enter(cells: readonly Cell[], values: readonly (Slot | undefined)[]): (Slot | undefined)[] {
  return cells.map((cell, at) => {
    const before = cell.value;
    cell.value = values[at];
    return before;
  });
}

/** The cases of a match, by label. */
export function casesOf<T>(args: readonly QuintEx[], compile: (expr: QuintEx) => T): ReadonlyMap<string, T> {
  const cases = new Map<string, T>();
  for (let at = 1; at < args.length; at += 2) {
    const label = args[at]!;
    if (label.kind !== 'str') throw new Error('a case of a match has no label');
    cases.set(label.value, compile(args[at + 1]!));
  }
  return cases;
}

export function pick<T>(cases: ReadonlyMap<string, T>, label: string): T {
  const found = cases.get(label) ?? cases.get('_');
  if (found === undefined) throw new Error(`no case for ${label}`);
  return found;
}
