import type { SchemaName } from '../schema-name.js';
import { type SqlPort, sqlStatement } from '../sql-port.js';

const purge = sqlStatement(
  'purge_dead_letters',
  (s) => `SELECT p.id::text AS id FROM ${s}.purge_dead_letters($1::bigint[], $2::boolean) AS p(id)`,
);

const purgeExpired = sqlStatement(
  'purge_expired_dead_letters',
  (s) => `SELECT ${s}.purge_expired_dead_letters($1::int) AS purged`,
);

/**
 * Deletes dead letters.
 *
 * @param wait for another transaction that is at one of them; otherwise that one is left out
 * @returns the ids of those that it has deleted.
 */
export async function purgeDeadLetters(
  port: SqlPort,
  schema: SchemaName,
  ids: readonly string[],
  wait: boolean,
): Promise<string[]> {
  const rows = await port.query<{ id: string }>(purge(schema), [[...ids], wait]);
  return rows.map(({ id }) => id);
}

/** Deletes dead letters that are older than their queue keeps them. @returns how many, `limit` at most. */
export async function purgeExpiredDeadLetters(
  port: SqlPort,
  schema: SchemaName,
  limit: number,
): Promise<number> {
  const [row] = await port.query<{ purged: number }>(purgeExpired(schema), [limit]);
  return row?.purged ?? 0;
}
