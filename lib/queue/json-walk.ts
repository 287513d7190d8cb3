import { types } from 'node:util';
import { formatPath } from './format-path.js';

/** Deepest nesting of objects and arrays that is accepted. */
export const MAX_JSON_DEPTH = 1000;

/** JSON cannot hold what is at `path`. */
export class JsonFault extends Error {
  readonly path: string;

  constructor(path: readonly PropertyKey[], message: string, options?: ErrorOptions) {
    super(message, options);
    this.path = formatPath(path);
  }
}

/** The JSON text would have more characters than the budget: at least `atLeast`. */
export class JsonOverBudget extends Error {
  constructor(readonly atLeast: number) {
    super();
  }
}

type AnyObject = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is AnyObject => typeof value === 'object' && value !== null;

/** What JSON.stringify silently writes as `{}`, or as something else that cannot be turned back. */
const REFUSED: readonly [is: (value: unknown) => boolean, advice: string][] = [
  [types.isMap, 'JSON would lose the entries of a Map: pass an object or an array of entries'],
  [types.isSet, 'JSON would lose the members of a Set: pass an array'],
  [types.isPromise, 'JSON would lose the value of a promise: await it first'],
  [types.isNativeError, 'JSON would lose the message of an Error: pass the text you need'],
  [types.isRegExp, 'JSON would lose a regular expression: pass its source'],
  [types.isArrayBufferView, 'JSON has no binary data: pass a base64 string'],
  [types.isAnyArrayBuffer, 'JSON has no binary data: pass a base64 string'],
  [types.isWeakMap, 'JSON would lose the entries of a WeakMap: leave it out'],
  [types.isWeakSet, 'JSON would lose the members of a WeakSet: leave it out'],
];

/**
 * Goes through a value the way JSON.stringify does, and throws {@link JsonFault} at the first thing that it would
 * lose, change or trip over. Throws {@link JsonOverBudget} as soon as the text is bound to exceed the budget, so
 * that neither a value that shares its parts many times over, nor half an application passed by mistake, is
 * ever written out. Use one instance a value.
 *
 * `toJSON` is honoured, and properties that are undefined are left out; in an array undefined would become
 * null, which is a fault.
 */
export class JsonWalk {
  /** Lower bound of the length of the text so far, in characters. */
  private seen = 0;
  /** The first `depth` of these lead to the value being visited; the rest is left over from elsewhere. */
  private readonly path: PropertyKey[] = [];

  constructor(private readonly budget: number) {}

  visit(value: unknown, depth = 0): void {
    switch (typeof value) {
      case 'string':
        this.seen += value.length + 2;
        return;
      case 'number':
        if (!Number.isFinite(value))
          this.fault(depth, `JSON would turn ${value} into null: pass null or a string`);
        this.seen += 1;
        return;
      case 'boolean':
        this.seen += 4;
        return;
      case 'object':
        if (isObject(value)) this.visitObject(value, depth);
        else this.seen += 4;
        return;
      case 'undefined':
        return this.fault(depth, 'JSON has no undefined: pass null');
      case 'bigint':
        return this.fault(depth, 'JSON has no bigint: pass a decimal string');
      default:
        return this.fault(depth, `JSON has no ${typeof value}: leave it out`);
    }
  }

  private visitObject(value: AnyObject, depth: number): void {
    this.seen += 2;
    if (this.seen > this.budget) throw new JsonOverBudget(this.seen);
    if (depth >= MAX_JSON_DEPTH) {
      this.fault(depth, `nested more than ${MAX_JSON_DEPTH} levels deep, or contains itself`);
    }
    if (typeof value.toJSON === 'function') {
      if (types.isDate(value) && Number.isNaN(value.getTime())) {
        this.fault(depth, 'JSON would turn an invalid Date into null: pass null or a valid one');
      }
      const key = depth === 0 ? '' : String(this.path[depth - 1]);
      this.visitReplacement(value.toJSON(key), depth);
    } else if (Array.isArray(value)) this.visitArray(value, depth);
    else this.visitProperties(value, depth);
  }

  private visitArray(value: readonly unknown[], depth: number): void {
    for (let index = 0; index < value.length; index++) {
      this.path[depth] = index;
      this.visit(value[index], depth + 1);
    }
  }

  private visitProperties(value: AnyObject, depth: number): void {
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype !== Object.prototype && prototype !== null) {
      if (types.isBoxedPrimitive(value)) return this.visit(value.valueOf(), depth);
      const refused = REFUSED.find(([is]) => is(value));
      if (refused !== undefined) this.fault(depth, refused[1]);
    }
    for (const key of Object.keys(value)) {
      const entry = value[key];
      if (entry === undefined) continue;
      this.path[depth] = key;
      this.seen += key.length + 3;
      this.visit(entry, depth + 1);
    }
  }

  /** Visits what the value's own toJSON makes of it; JSON does not ask the result for a toJSON again. */
  private visitReplacement(replacement: unknown, depth: number): void {
    if (replacement === undefined && depth > 0) return;
    if (Array.isArray(replacement)) this.visitArray(replacement, depth);
    else if (isObject(replacement)) this.visitProperties(replacement, depth);
    else this.visit(replacement, depth);
  }

  private fault(depth: number, message: string): never {
    throw new JsonFault(this.path.slice(0, depth), message);
  }
}
