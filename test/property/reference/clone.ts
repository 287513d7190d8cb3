/** A copy of a whole, with classes, maps and sets, and with the references between its parts. */
export function cloneDeep<Value>(value: Value): Value {
  return copy(value, new Map()) as Value;
}

function copy(value: unknown, copies: Map<object, object>): unknown {
  if (typeof value !== 'object' || value === null || value instanceof Date) return value;
  const known = copies.get(value);
  if (known !== undefined) return known;
  const empty: object =
    value instanceof Map
      ? new Map()
      : value instanceof Set
        ? new Set()
        : Array.isArray(value)
          ? []
          : (Object.create(Object.getPrototypeOf(value) as object) as object);
  copies.set(value, empty);
  if (value instanceof Map)
    for (const [key, entry] of value)
      (empty as Map<unknown, unknown>).set(copy(key, copies), copy(entry, copies));
  else if (value instanceof Set) for (const entry of value) (empty as Set<unknown>).add(copy(entry, copies));
  else
    for (const [key, entry] of Object.entries(value))
      (empty as Record<string, unknown>)[key] = copy(entry, copies);
  return empty;
}
