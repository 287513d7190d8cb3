import type { SchemaName } from '../schema-name.js';
import { type SqlPort, sqlStatement } from '../sql-port.js';

const statement = sqlStatement(
  'database_now',
  () => `SELECT ceil(extract(epoch FROM clock_timestamp()) * 1000)::float8 AS now_ms`,
);

/** The database's present, rounded up: what it has written so far is older. */
export async function databaseNow(port: SqlPort, schema: SchemaName): Promise<Date> {
  const [row] = await port.query<{ now_ms: number }>(statement(schema), []);
  return new Date((row?.now_ms ?? 0) + 1);
}
