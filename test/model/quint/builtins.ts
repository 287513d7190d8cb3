import type { Callable } from './machine.js';
import { bool, composite, int, text, type Value, type ValueStore } from './value.js';

type Builtin = (store: ValueStore, ...args: Value[]) => Value;
type HigherOrder = (store: ValueStore, subject: Value, operator: Callable) => Value;

const items = (value: Value): readonly Value[] => composite(value).items;
const keys = (map: Value): Value[] => items(map).filter((_, at) => at % 2 === 0);
const pairs = (map: Value): [Value, Value][] => {
  const all = items(map);
  return keys(map).map((key, at) => [key, all[2 * at + 1]!]);
};
const has = (set: Value, element: Value): boolean => composite(set).position(element) >= 0;
const lookUp = (map: Value, key: Value): Value => {
  const at = composite(map).position(key);
  if (at < 0) throw new Error('a map has no such key');
  return composite(map).items[at + 1]!;
};
const element = (list: Value, at: number): Value => {
  const value = items(list)[at];
  if (value === undefined) throw new Error(`a list or tuple has no element ${at}`);
  return value;
};
const upTo = (from: number, to: number): number[] =>
  Array.from({ length: Math.max(0, to - from + 1) }, (_, n) => from + n);
const product = (sets: readonly (readonly Value[])[]): Value[][] =>
  sets.reduce<Value[][]>((all, set) => all.flatMap((head) => set.map((last) => [...head, last])), [[]]);
const subsets = (all: readonly Value[]): Value[][] =>
  all.reduce<Value[][]>((found, each) => [...found, ...found.map((subset) => [...subset, each])], [[]]);
const small = (value: number): number => {
  if (Math.abs(value) >= 2 ** 31) throw new Error(`${value} is too large for a model`);
  return value;
};
const nonZero = (value: number): number => {
  if (value === 0) throw new Error('division by zero');
  return value;
};

/** The operators that are given values. */
export const BUILTINS: Readonly<Record<string, Builtin>> = {
  Set: (store, ...args) => store.set(args),
  List: (store, ...args) => store.list(args),
  Tup: (store, ...args) => store.tuple(args),
  Map: (store, ...args) => store.map(args.map((pair) => [element(pair, 0), element(pair, 1)])),
  Rec: (store, ...args) =>
    store.record(args.flatMap((name, at) => (at % 2 === 0 ? [[text(name), args[at + 1]!] as const] : []))),
  variant: (store, label, value) => store.variant(text(label), value),
  not: (_, a) => !bool(a),
  iff: (_, a, b) => a === b,
  eq: (_, a, b) => a === b,
  neq: (_, a, b) => a !== b,
  iadd: (_, a, b) => small(int(a) + int(b)),
  isub: (_, a, b) => small(int(a) - int(b)),
  imul: (_, a, b) => small(int(a) * int(b)),
  idiv: (_, a, b) => Math.trunc(int(a) / nonZero(int(b))),
  imod: (_, a, b) => int(a) % nonZero(int(b)),
  ipow: (_, a, b) => small(int(a) ** int(b)),
  iuminus: (_, a) => 0 - int(a),
  ilt: (_, a, b) => int(a) < int(b),
  ilte: (_, a, b) => int(a) <= int(b),
  igt: (_, a, b) => int(a) > int(b),
  igte: (_, a, b) => int(a) >= int(b),
  item: (_, tuple, at) => element(tuple, int(at) - 1),
  tuples: (store, ...sets) => store.set(product(sets.map(items)).map((tuple) => store.tuple(tuple))),
  to: (store, from, to) => store.set(upTo(int(from), int(to))),
  contains: (_, set, value) => has(set, value),
  in: (_, value, set) => has(set, value),
  subseteq: (_, a, b) => items(a).every((value) => has(b, value)),
  union: (store, a, b) => store.set([...items(a), ...items(b)]),
  intersect: (store, a, b) => store.set(items(a).filter((value) => has(b, value))),
  exclude: (store, a, b) => store.set(items(a).filter((value) => !has(b, value))),
  size: (_, set) => items(set).length,
  isFinite: () => true,
  flatten: (store, sets) => store.set(items(sets).flatMap(items)),
  powerset: (store, set) => store.set(subsets(items(set)).map((subset) => store.set(subset))),
  getOnlyElement: (_, set) => {
    if (items(set).length !== 1) throw new Error('a set has not exactly one element');
    return element(set, 0);
  },
  allListsUpTo: (store, set, length) =>
    store.set(
      upTo(0, int(length)).flatMap((n) =>
        product(Array.from({ length: n }, () => items(set))).map((list) => store.list(list)),
      ),
    ),
  setOfMaps: (store, domain, range) =>
    store.set(
      product(items(domain).map(() => items(range))).map((values) =>
        store.map(items(domain).map((key, at) => [key, values[at]!])),
      ),
    ),
  setToMap: (store, set) => store.map(items(set).map((pair) => [element(pair, 0), element(pair, 1)])),
  keys: (store, map) => store.set(keys(map)),
  get: (_, map, key) => lookUp(map, key),
  put: (store, map, key, value) => store.map([...pairs(map), [key, value]]),
  set: (store, map, key, value) => {
    lookUp(map, key);
    return store.map([...pairs(map), [key, value]]);
  },
  field: (store, record, name) => store.field(composite(record), text(name)),
  fieldNames: (store, record) => store.set(store.fieldNames(composite(record))),
  with: (store, record, name, value) => store.withField(composite(record), text(name), value),
  length: (_, list) => items(list).length,
  nth: (_, list, at) => element(list, int(at)),
  head: (_, list) => element(list, 0),
  tail: (store, list) => {
    element(list, 0);
    return store.list(items(list).slice(1));
  },
  append: (store, list, value) => store.list([...items(list), value]),
  concat: (store, a, b) => store.list([...items(a), ...items(b)]),
  range: (store, from, to) => store.list(upTo(int(from), int(to) - 1)),
  indices: (store, list) => store.set(upTo(0, items(list).length - 1)),
  slice: (store, list, from, to) => {
    if (int(from) < 0 || int(from) > int(to) || int(to) > items(list).length) {
      throw new Error(`a list has no slice ${int(from)}..${int(to)}`);
    }
    return store.list(items(list).slice(int(from), int(to)));
  },
  replaceAt: (store, list, at, value) => {
    element(list, int(at));
    return store.list(items(list).with(int(at), value));
  },
  assert: (_, condition) => {
    if (!bool(condition)) throw new Error('an assertion of the model does not hold');
    return true;
  },
};

/** The operators that are given another operator, as their second argument. */
export const HIGHER_ORDER: Readonly<Record<string, HigherOrder>> = {
  map: (store, set, f) => store.set(items(set).map((value) => f(value))),
  filter: (store, set, f) => store.set(items(set).filter((value) => bool(f(value)))),
  select: (store, list, f) => store.list(items(list).filter((value) => bool(f(value)))),
  exists: (_, set, f) => items(set).some((value) => bool(f(value))),
  forall: (_, set, f) => items(set).every((value) => bool(f(value))),
  mapBy: (store, set, f) => store.map(items(set).map((key) => [key, f(key)])),
};

/** The operators that are given a start or a key before the operator. */
export const FOLDS: Readonly<
  Record<string, (store: ValueStore, subject: Value, start: Value, operator: Callable) => Value>
> = {
  fold: (_, set, start, f) => items(set).reduce((sum, value) => f(sum, value), start),
  foldl: (_, list, start, f) => items(list).reduce((sum, value) => f(sum, value), start),
  foldr: (_, list, start, f) => items(list).reduceRight((sum, value) => f(value, sum), start),
  setBy: (store, map, key, f) => store.map([...pairs(map), [key, f(lookUp(map, key))]]),
};
