/** What an expression of a specification evaluates to. Equal values are identical: composite ones are stored once. */
export type Value = number | boolean | string | Composite;

export type Kind = 'set' | 'list' | 'tuple' | 'record' | 'map' | 'variant';

/** A composite value. `shape` is the label of a variant, the field names of a record, and empty otherwise. */
export class Composite {
  #positions: Map<Value, number> | undefined;

  /** @param items a set's elements in the order of their ids; a map's keys, likewise, each followed by its value */
  constructor(
    readonly id: number,
    readonly kind: Kind,
    readonly shape: string,
    readonly items: readonly Value[],
  ) {}

  /** Where an element of a set, or a key of a map, is among the items; -1 if it is not. */
  position(value: Value): number {
    const step = this.kind === 'map' ? 2 : 1;
    if (this.#positions === undefined) {
      if (this.items.length <= 8 * step) {
        for (let at = 0; at < this.items.length; at += step) if (this.items[at] === value) return at;
        return -1;
      }
      this.#positions = new Map();
      for (let at = 0; at < this.items.length; at += step) this.#positions.set(this.items[at]!, at);
    }
    return this.#positions.get(value) ?? -1;
  }
}

// Where the ids of each type begin. Integers are their own ids, and have to be smaller.
const COMPOSITES = 2 ** 32;
const STRINGS = 2 ** 48;
const BOOLEANS = 2 ** 52;

/** Where the values of one model are. Whoever drops it drops them. */
export class ValueStore {
  readonly #composites = new Map<string, Composite>();
  readonly #strings = new Map<string, number>();
  readonly #fields = new Map<string, readonly string[]>();

  id(value: Value): number {
    if (typeof value === 'number') return value;
    if (typeof value === 'boolean') return BOOLEANS + Number(value);
    if (typeof value === 'object') return value.id;
    let id = this.#strings.get(value);
    if (id === undefined) {
      id = STRINGS + this.#strings.size;
      this.#strings.set(value, id);
    }
    return id;
  }

  /** Ids as one text: equal for equal values only. */
  key(values: readonly Value[]): string {
    let key = '';
    for (const value of values) key += `${this.id(value)},`;
    return key;
  }

  #intern(kind: Kind, shape: string, items: readonly Value[]): Composite {
    const key = `${kind} ${shape} ${this.key(items)}`;
    let found = this.#composites.get(key);
    if (found === undefined) {
      found = new Composite(COMPOSITES + this.#composites.size, kind, shape, items);
      this.#composites.set(key, found);
    }
    return found;
  }

  set(elements: Iterable<Value>): Composite {
    const items = [...new Set(elements)].sort((a, b) => this.id(a) - this.id(b));
    return this.#intern('set', '', items);
  }

  list(items: readonly Value[]): Composite {
    return this.#intern('list', '', items);
  }

  tuple(items: readonly Value[]): Composite {
    return this.#intern('tuple', '', items);
  }

  variant(label: string, value: Value): Composite {
    return this.#intern('variant', label, [value]);
  }

  /** Later entries win over earlier ones with the same key. */
  map(entries: Iterable<readonly [Value, Value]>): Composite {
    const sorted = [...new Map(entries)].sort(([a], [b]) => this.id(a) - this.id(b));
    return this.#intern('map', '', sorted.flat());
  }

  record(fields: readonly (readonly [string, Value])[]): Composite {
    const sorted = [...fields].sort(([a], [b]) => (a < b ? -1 : 1));
    const shape = sorted.map(([name]) => name).join(' ');
    if (!this.#fields.has(shape)) {
      this.#fields.set(
        shape,
        sorted.map(([name]) => name),
      );
    }
    return this.#intern(
      'record',
      shape,
      sorted.map(([, value]) => value),
    );
  }

  fieldNames(record: Composite): readonly string[] {
    return this.#fields.get(record.shape) ?? [];
  }

  field(record: Composite, name: string): Value {
    const value = record.items[this.fieldNames(record).indexOf(name)];
    if (value === undefined) throw new Error(`a record of ${record.shape} has no field ${name}`);
    return value;
  }

  withField(record: Composite, name: string, value: Value): Composite {
    const at = this.fieldNames(record).indexOf(name);
    if (at < 0) throw new Error(`a record of ${record.shape} has no field ${name}`);
    return this.#intern('record', record.shape, record.items.with(at, value));
  }
}

export const bool = (value: Value): boolean => {
  if (typeof value !== 'boolean') throw new Error(`a ${typeof value} is not a boolean`);
  return value;
};

export const int = (value: Value): number => {
  if (typeof value !== 'number') throw new Error(`a ${typeof value} is not an integer`);
  return value;
};

export const text = (value: Value): string => {
  if (typeof value !== 'string') throw new Error(`a ${typeof value} is not a string`);
  return value;
};

export const composite = (value: Value): Composite => {
  if (typeof value !== 'object') throw new Error(`${value} is not composite`);
  return value;
};
