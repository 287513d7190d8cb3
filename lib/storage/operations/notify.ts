import { type SqlPort, sqlStatement } from '../sql-port.js';
import type { SchemaName } from '../schema-name.js';

const statement = sqlStatement('notify', () => 'SELECT pg_catalog.pg_notify($1::text, $2::text)');

/** Sends a notification. */
export async function notify(
  port: SqlPort,
  schema: SchemaName,
  channel: string,
  payload: string,
): Promise<void> {
  await port.query(statement(schema), [channel, payload]);
}
