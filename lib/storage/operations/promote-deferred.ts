import type { SchemaName } from '../schema-name.js';
import { type SqlPort, sqlStatement } from '../sql-port.js';

/** Where it is said that a job is due soon. */
export function dueChannel({ channel }: SchemaName): string {
  return `${channel}_due`;
}

/** What a promotion did. */
export interface Promotion {
  readonly promoted: number;
  /** Milliseconds until the next deferred job is due, by the database's clock; undefined: there is none. */
  readonly nextInMs: number | undefined;
  /** When it looked, by the database's clock. */
  readonly lookedAt: Date;
}

interface Row {
  readonly promoted: number;
  readonly next_in_ms: number | null;
  readonly looked_at_ms: number;
}

const statement = sqlStatement(
  'promote_deferred',
  (
    s,
  ) => `SELECT p.promoted, extract(epoch FROM p.next_run_at - clock_timestamp())::float8 * 1000 AS next_in_ms,
    extract(epoch FROM clock_timestamp())::float8 * 1000 AS looked_at_ms
  FROM ${s}.promote_deferred($1::int, $2::timestamptz) p`,
);

/**
 * Makes due jobs claimable, at most `limit` of them.
 *
 * @param since leaves out what was due before; undefined: looks from the beginning
 */
export async function promoteDeferred(
  port: SqlPort,
  schema: SchemaName,
  limit: number,
  since?: Date,
): Promise<Promotion> {
  const [row] = await port.query<Row>(statement(schema), [limit, since?.toISOString() ?? null]);
  return {
    promoted: row?.promoted ?? 0,
    nextInMs: row?.next_in_ms ?? undefined,
    lookedAt: new Date(row?.looked_at_ms ?? 0),
  };
}
