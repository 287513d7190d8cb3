import type { SchemaName } from '../schema-name.js';
import { type SqlPort, sqlStatement } from '../sql-port.js';
import { CLAIM_PAGE, type ClaimPage, type ClaimsEnded, walkClaims } from './claim-pages.js';

const settle = sqlStatement(
  'settle_overdue',
  (s) =>
    `SELECT ${CLAIM_PAGE} FROM ${s}.settle_overdue($1::float8, $2::float8, $3::int, $4::int, $5::bigint) p`,
);

/**
 * Ends attempts that are over their time, and that their processes should have ended.
 *
 * @param contactMs for how long the contact of whoever asks with the server has been unbroken
 * @param graceMs how long a process may take to end an attempt itself, after its time-out
 * @param limit attempts to end with one statement
 */
export function settleOverdue(
  port: SqlPort,
  schema: SchemaName,
  contactMs: number,
  graceMs: number,
  limit: number,
): Promise<ClaimsEnded> {
  return walkClaims(async (lane, seq) =>
    port.query<ClaimPage>(settle(schema), [contactMs, graceMs, limit, lane, seq]),
  );
}
