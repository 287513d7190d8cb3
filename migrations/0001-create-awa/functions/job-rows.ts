/** What a function that reads jobs answers with. */
export const JOB_COLUMNS = `job_id bigint, kind text, queue text, priority smallint, state text, attempt int,
  max_attempts int, run_lease int, run_at timestamptz, created_at timestamptz, attempted_at timestamptz,
  finalized_at timestamptz, args json, payload jsonb, dead_letter boolean`;

/** Keeps TRUNCATE, which does not wait for snapshots, away from everything a reading of jobs looks at. */
export const lockRings = (s: string): string =>
  `LOCK TABLE ${s}.ready_entries, ${s}.completion_batches, ${s}.ready_tombstones, ${s}.lease_claims, ${s}.lease_claim_closures,
    ${s}.done_entries IN ACCESS SHARE MODE`;

/**
 * The rows that may stand for a job, of every table that has some. Of the rows of one job the newest has the highest
 * (run_lease, rank). Only a ready row has a slot and a transaction id, and no state.
 *
 * @param tail what follows each `FROM <table> e`
 */
export function jobRows(s: string, tail: string): string {
  const common = `e.job_id, e.run_lease, e.attempt, e.max_attempts, e.lane_id, e.kind, e.args, e.payload, e.run_at, e.created_at`;
  return `(SELECT 4 AS rank, ${common}, e.state, NULL::timestamptz AS attempted_at, NULL::timestamptz AS finalized_at,
      false AS dead_letter, NULL::smallint AS ready_slot, NULL::xid8 AS enqueue_xid
    FROM ${s}.deferred_jobs e ${tail})
    UNION ALL
    (SELECT 3, ${common}, 'failed', e.attempted_at, e.finalized_at, true, NULL, NULL FROM ${s}.dlq_entries e ${tail})
    UNION ALL
    (SELECT 2, ${common}, e.state, e.attempted_at, e.finalized_at, false, NULL, NULL FROM ${s}.done_entries e ${tail})
    UNION ALL
    (SELECT 1, ${common}, NULL, NULL, NULL, false, e.ready_slot, e.enqueue_xid FROM ${s}.ready_entries e ${tail})`;
}

/** Jobs, newest first, out of {@link jobRows}: JOB_COLUMNS. The condition is on rows j. */
export function newestJobs(s: string, rows: string, condition = 'true'): string {
  return `SELECT j.job_id, j.kind, l.queue, l.priority, coalesce(j.state, r.state),
    -- An attempt that was claimed counts, and holds the next lease.
    j.attempt + r.claimed, j.max_attempts::int, j.run_lease + r.claimed, j.run_at, j.created_at, coalesce(j.attempted_at, r.attempted_at), coalesce(j.finalized_at, r.finalized_at), j.args,
    ${s}.payload_now(j.payload, coalesce(j.state, r.state), j.job_id, j.run_lease + r.claimed), j.dead_letter
  FROM (
    SELECT DISTINCT ON (a.job_id) a.* FROM (${rows}) a ORDER BY a.job_id DESC, a.run_lease DESC, a.rank DESC
  ) j
  JOIN ${s}.queue_lanes l ON l.lane_id = j.lane_id
  CROSS JOIN LATERAL (
    SELECT t.*, coalesce(t.state <> 'available', false)::int AS claimed
    FROM (SELECT) one LEFT JOIN ${s}.ready_state(j.lane_id, j.ready_slot, j.enqueue_xid, j.job_id, j.run_lease) t ON true
  ) r
  WHERE (j.state IS NOT NULL OR r.state IS NOT NULL) AND ${condition}`;
}
