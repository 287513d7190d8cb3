import type { SchemaName } from '../schema-name.js';
import { type SqlPort, sqlStatement } from '../sql-port.js';
import { CLAIM_PAGE, type ClaimPage, type ClaimsEnded, walkClaims } from './claim-pages.js';

const settle = sqlStatement(
  'settle_overdue',
  (s) =>
    `SELECT ${CLAIM_PAGE}, EXISTS (SELECT FROM ${s}.runtime_instances i WHERE i.timeouts IS NOT NULL) AS has_timeouts
  FROM ${s}.settle_overdue($1::float8, $2::float8, $3::int, $4::int, $5::bigint) p`,
);

/** What was ended. */
export interface OverdueEnded extends ClaimsEnded {
  /** Whether any process had time-outs as the look began: otherwise nothing is overdue before `graceMs` from then. */
  readonly hasTimeouts: boolean;
}

/**
 * Ends attempts that are over their time, and that their processes should have ended.
 *
 * @param contactMs for how long the contact of whoever asks with the server has been unbroken
 * @param graceMs how long a process may take to end an attempt itself, after its time-out
 * @param limit attempts to end with one statement
 */
export async function settleOverdue(
  port: SqlPort,
  schema: SchemaName,
  contactMs: number,
  graceMs: number,
  limit: number,
): Promise<OverdueEnded> {
  let hasTimeouts = false;
  const ended = await walkClaims(async (lane, seq) => {
    const parameters = [contactMs, graceMs, limit, lane, seq];
    const rows = await port.query<ClaimPage & { has_timeouts: boolean }>(settle(schema), parameters);
    hasTimeouts ||= rows.some((row) => row.has_timeouts);
    return rows;
  });
  return { ...ended, hasTimeouts };
}
