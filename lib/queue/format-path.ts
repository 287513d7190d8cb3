/** Longest path that is written out in full. */
const MAX_KEYS = 20;

/** The way to a value as source code has it: `items[2].sku`, `headers["x-id"]`; empty for the value itself. */
export function formatPath(keys: readonly PropertyKey[]): string {
  const path = keys.slice(0, MAX_KEYS).map(formatKey).join('');
  return `${path.startsWith('.') ? path.slice(1) : path}${keys.length > MAX_KEYS ? '…' : ''}`;
}

function formatKey(key: PropertyKey): string {
  if (typeof key === 'number') return `[${key}]`;
  if (typeof key === 'symbol') return `[${String(key)}]`;
  if (/^[A-Za-z_$][\w$]*$/.test(key)) return `.${key}`;
  return `[${JSON.stringify(key.length > 60 ? `${key.slice(0, 60)}…` : key)}]`;
}
