import type { SchemaName } from '../schema-name.js';
import { type SqlPort, sqlStatement } from '../sql-port.js';

const register = sqlStatement(
  'register_queues',
  (s) => `SELECT ${s}.register_queues($1::text[], $2::float8[])`,
);

const list = sqlStatement('list_queues', (s) => `SELECT q.name FROM ${s}.queues q ORDER BY q.name`);

/**
 * Makes queues and their lanes known. To be done ahead of the first enqueue, outside of the caller's transactions.
 *
 * @param deadLetterMs how long a queue keeps its dead letters, 0: it has none; one that is not in it is left as it is
 */
export async function registerQueues(
  port: SqlPort,
  schema: SchemaName,
  names: readonly string[],
  deadLetterMs: ReadonlyMap<string, number> = new Map(),
): Promise<void> {
  await port.query(register(schema), [[...names], names.map((name) => deadLetterMs.get(name) ?? null)]);
}

/** Names of all registered queues. */
export async function listQueues(port: SqlPort, schema: SchemaName): Promise<string[]> {
  const rows = await port.query<{ name: string }>(list(schema), []);
  return rows.map(({ name }) => name);
}
