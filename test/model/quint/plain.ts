import type { Value, ValueStore } from './value.js';

/** A value as JSON: for printing, and for comparing with what a database says. */
export type Plain = number | boolean | string | readonly Plain[] | { readonly [name: string]: Plain };

/**
 * Sets are arrays in the order of their elements' JSON (of numbers: ascending), so that equal ones are deeply equal. Maps are objects
 * if their keys are integers or strings, and else arrays of pairs. A variant is `{ tag, value }`, with `value` an empty array if it has none.
 */
export function toPlain(value: Value, store: ValueStore): Plain {
  if (typeof value !== 'object') return value;
  const items = value.items.map((item) => toPlain(item, store));
  switch (value.kind) {
    case 'list':
    case 'tuple':
      return items;
    case 'set':
      return items.sort(byJson);
    case 'record':
      return Object.fromEntries(store.fieldNames(value).map((name, at) => [name, items[at]!]));
    case 'variant':
      return { tag: value.shape, value: items[0]! };
    case 'map': {
      return plainMap(items.flatMap((key, at) => (at % 2 === 0 ? [[key, items[at + 1]!] as const] : [])));
    }
  }
}

export function plainMap(pairs: readonly (readonly [Plain, Plain])[]): Plain {
  return pairs.some(([key]) => typeof key === 'object' || typeof key === 'boolean')
    ? [...pairs].sort(byJson)
    : Object.fromEntries(pairs);
}

/** The order of a set's elements. */
export function byJson(a: Plain, b: Plain): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  const [left, right] = [JSON.stringify(a), JSON.stringify(b)];
  return left < right ? -1 : left > right ? 1 : 0;
}
