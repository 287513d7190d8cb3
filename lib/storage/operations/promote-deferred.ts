import type { SchemaName } from '../schema-name.js';
import { type SqlPort, sqlStatement } from '../sql-port.js';

/** What a promotion did. */
export interface Promotion {
  readonly promoted: number;
  /** Milliseconds until the next deferred job is due, by the database's clock; undefined: there is none. */
  readonly nextInMs: number | undefined;
}

const statement = sqlStatement(
  'promote_deferred',
  (
    s,
  ) => `SELECT p.promoted, extract(epoch FROM p.next_run_at - clock_timestamp())::float8 * 1000 AS next_in_ms
  FROM ${s}.promote_deferred($1::int) p`,
);

/** Makes due jobs claimable, at most `limit` of them. */
export async function promoteDeferred(port: SqlPort, schema: SchemaName, limit: number): Promise<Promotion> {
  const [row] = await port.query<{ promoted: number; next_in_ms: number | null }>(statement(schema), [limit]);
  return { promoted: row?.promoted ?? 0, nextInMs: row?.next_in_ms ?? undefined };
}
