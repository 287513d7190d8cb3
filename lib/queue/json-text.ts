/** Where in a JSON text something was found. */
export interface JsonTextMatch {
  readonly path: readonly (string | number)[];
  /** Whether it is in the last key of the path rather than in the value there. */
  readonly inKey: boolean;
}

/** Finds the first string or key in a JSON text that satisfies a condition. Meant for error messages: it is slow. */
export function findInJson(text: string, matches: (text: string) => boolean): JsonTextMatch | undefined {
  return search(JSON.parse(text), [], matches);
}

function search(
  value: unknown,
  path: readonly (string | number)[],
  matches: (text: string) => boolean,
): JsonTextMatch | undefined {
  if (typeof value === 'string') return matches(value) ? { path, inKey: false } : undefined;
  if (typeof value !== 'object' || value === null) return undefined;
  for (const [name, entry] of Object.entries(value)) {
    const key = Array.isArray(value) ? Number(name) : name;
    if (matches(name)) return { path: [...path, key], inKey: true };
    const found = search(entry, [...path, key], matches);
    if (found !== undefined) return found;
  }
  return undefined;
}
