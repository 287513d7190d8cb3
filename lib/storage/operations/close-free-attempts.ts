import type { JobState } from '../job-state.js';
import type { SchemaName } from '../schema-name.js';
import { type SqlPort, sqlStatement } from '../sql-port.js';
import type { ClaimedJob } from './claim-jobs.js';
import { attemptArrays, completionArrays, type Settlement, settlementArrays } from './close-attempts.js';

/** What became of an attempt: its new state; `stale`: somebody else had ended it; `busy`: its claim is locked, try again. */
export type Closing = JobState | 'stale' | 'busy';

// Evaluated once, before the rest of the statement: the locks that are to be had are taken by then.
const FREE = (s: string) =>
  `WITH free AS MATERIALIZED (SELECT ${s}.free_lanes($1::int[], $2::bigint[]) AS lane_ids)`;

const completeFree = sqlStatement(
  'complete_free_attempts',
  (s) => `${FREE(s)}
    SELECT c.ord, CASE WHEN f.lane_ids[c.ord] IS NULL THEN 'busy' ELSE 'stale' END AS state
    FROM free f CROSS JOIN LATERAL ${s}.complete_attempts(
      f.lane_ids, $2::bigint[], $3::smallint[], $4::bigint[], $5::int[], $6::smallint[], $7::int[], $8::bytea[], $9::int[]) AS c(ord)`,
);

const settleFree = sqlStatement(
  'settle_free_attempts',
  (s) => `${FREE(s)}
    SELECT c.ord, c.state FROM free f CROSS JOIN LATERAL (
      SELECT t.ord, t.state FROM ${s}.settle_attempts(
        f.lane_ids, $2::bigint[], $3::smallint[], $4::bigint[], $5::int[], $6::text[], $7::text[], $8::float8[]) t
      UNION ALL
      SELECT o, 'busy' FROM generate_subscripts(f.lane_ids, 1) AS o WHERE f.lane_ids[o] IS NULL
    ) c`,
);

interface Row {
  readonly ord: number;
  readonly state: Closing;
}

/**
 * As `completeAttempts`, without ever waiting for a lock.
 *
 * @returns what became of each, by position
 */
export async function completeFreeAttempts(
  port: SqlPort,
  schema: SchemaName,
  jobs: readonly ClaimedJob[],
  mayHaveState: (job: ClaimedJob) => boolean,
): Promise<Closing[]> {
  const rows = await port.query<Row>(completeFree(schema), [
    ...attemptArrays(jobs),
    ...completionArrays(jobs, mayHaveState),
  ]);
  const exceptions = new Map(rows.map(({ ord, state }) => [ord, state]));
  return jobs.map((_, index) => exceptions.get(index + 1) ?? 'completed');
}

/**
 * As `settleAttempts`, without ever waiting for a lock.
 *
 * @returns what became of each, by position
 */
export async function settleFreeAttempts(
  port: SqlPort,
  schema: SchemaName,
  settlements: readonly Settlement[],
): Promise<Closing[]> {
  const rows = await port.query<Row>(settleFree(schema), [
    ...attemptArrays(settlements.map(({ job }) => job)),
    ...settlementArrays(settlements),
  ]);
  const states = new Map(rows.map(({ ord, state }) => [ord, state]));
  return settlements.map((_, index) => states.get(index + 1) ?? 'stale');
}
