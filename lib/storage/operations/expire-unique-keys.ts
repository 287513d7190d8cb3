import type { SchemaName } from '../schema-name.js';
import { type SqlPort, sqlStatement } from '../sql-port.js';

const statement = sqlStatement(
  'expire_unique_keys',
  (s) => `SELECT ${s}.expire_unique_keys($1::int) AS expired`,
);

/** Drops unique keys of ended jobs whose period is over, at most `limit` of them. @returns how many. */
export async function expireUniqueKeys(port: SqlPort, schema: SchemaName, limit: number): Promise<number> {
  const [row] = await port.query<{ expired: number }>(statement(schema), [limit]);
  return row?.expired ?? 0;
}
