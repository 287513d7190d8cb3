import type { Client } from 'pg';

/** Tables that nothing is ever updated in or deleted from. */
const APPEND_TABLES = [
  'ready_entries',
  'ready_tombstones',
  'completion_batches',
  'lease_claims',
  'lease_claim_closures',
  'done_entries',
];

export interface DatabaseState {
  readonly bytes: number;
  readonly segments: number;
  readonly prunes: number;
  readonly rotations: number;
  readonly changedRows: number;
  /** Not counting ready_entries, where an enqueue that is rolled back leaves its rows. */
  readonly deadRows: number;
  readonly deferred: number;
  /** Unique keys, of living and of ended jobs. */
  readonly uniqueKeys: number;
  /** For how long the segment that was sealed first has been sealed. */
  readonly oldestSealedMs: number;
}

/** What an operator would look at: sizes, ring generations, and what vacuum would have to do in the append-only tables. */
export async function readDatabaseState(client: Client): Promise<DatabaseState> {
  const { rows } = await client.query<Record<keyof DatabaseState, string>>(
    `SELECT
       (SELECT sum(bytes) FROM (VALUES ('ready'), ('claim'), ('done')) r(ring), LATERAL awa.ring_segments(r.ring)) AS bytes,
       (SELECT count(*) FROM (VALUES ('ready'), ('claim'), ('done')) r(ring), LATERAL awa.ring_segments(r.ring)) AS segments,
       (SELECT sum(generation) FROM (SELECT max(generation) AS generation FROM awa.ring_prunes GROUP BY ring) p) AS prunes,
       (SELECT sum(generation) FROM (SELECT max(generation) AS generation FROM awa.ring_rotations GROUP BY ring) r) AS rotations,
       (SELECT sum(n_tup_upd + n_tup_del) FROM pg_stat_user_tables
         WHERE schemaname = 'awa' AND regexp_replace(relname, '_\\d+$', '') = ANY ($1)) AS "changedRows",
       (SELECT sum(n_dead_tup) FROM pg_stat_user_tables
         WHERE schemaname = 'awa' AND regexp_replace(relname, '_\\d+$', '') = ANY ($1)
           AND relname NOT LIKE 'ready_entries%') AS "deadRows",
       (SELECT count(*) FROM awa.deferred_jobs) AS deferred,
       (SELECT count(*) FROM awa.job_unique_claims) AS "uniqueKeys",
       (SELECT coalesce(extract(epoch FROM clock_timestamp() - min(sealed_at)) * 1000, 0)
         FROM (VALUES ('ready'), ('claim'), ('done')) r(ring), LATERAL awa.ring_segments(r.ring)) AS "oldestSealedMs"`,
    [APPEND_TABLES],
  );
  const row = rows[0];
  if (row === undefined) throw new Error('the database does not say how it is');
  return {
    bytes: Number(row.bytes),
    segments: Number(row.segments),
    prunes: Number(row.prunes),
    rotations: Number(row.rotations),
    changedRows: Number(row.changedRows),
    deadRows: Number(row.deadRows),
    deferred: Number(row.deferred),
    uniqueKeys: Number(row.uniqueKeys),
    oldestSealedMs: Number(row.oldestSealedMs),
  };
}
