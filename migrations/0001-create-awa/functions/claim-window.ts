/**
 * The claim window: which ready rows of a lane are new.
 *
 * A row carries the id of the transaction that wrote it. "New since a claim" is "visible now, not visible in that claim's
 * snapshot", and that is a handful of ranges of (enqueue_xid, job_id), each an index range:
 *   - each transaction that was in progress in the older snapshot and has ended since (a probe of one xid), and
 *   - everything from the older snapshot's xmax on, cut at the transactions still in progress in the newer one.
 * The cuts matter: without them a scan would walk over all rows of a large open transaction to reach the next one's.
 */
/** Greater than every job id. */
const LAST_ID = '9223372036854775807::bigint';

export const claimWindow = (s: string): string[] => [
  /*
   * A range holds the rows after (lo_xid, lo_job_id) with a transaction id below hi_xid; ranges are disjoint, and none reaches
   * before the position. The upper bound is one column on purpose: up to Postgres 17 a btree scan does not end at the second column
   * of a row comparison, and would walk over all rows of an open transaction that begins right there.
   */
  `CREATE FUNCTION ${s}.window_ranges(p_prev pg_snapshot, p_cur pg_snapshot, p_pos_xid xid8, p_pos_job_id bigint)
RETURNS TABLE (lo_xid xid8, lo_job_id bigint, hi_xid xid8) LANGUAGE sql IMMUTABLE ROWS 4 AS $awa$
  SELECT
    CASE WHEN (g.lo_xid, g.lo_job_id) < (p_pos_xid, p_pos_job_id) THEN p_pos_xid ELSE g.lo_xid END,
    CASE WHEN (g.lo_xid, g.lo_job_id) < (p_pos_xid, p_pos_job_id) THEN p_pos_job_id ELSE g.lo_job_id END,
    g.hi_xid
  FROM (
    SELECT x AS lo_xid, 0::bigint AS lo_job_id, (x::text::bigint + 1)::text::xid8 AS hi_xid
    FROM pg_snapshot_xip(p_prev) AS x WHERE pg_visible_in_snapshot(x, p_cur)
    UNION ALL
    SELECT lag(c.xid, 1, pg_snapshot_xmax(p_prev)) OVER cuts, lag(${LAST_ID}, 1, 0::bigint) OVER cuts, c.xid
    FROM (
      SELECT x AS xid FROM pg_snapshot_xip(p_cur) AS x WHERE x >= pg_snapshot_xmax(p_prev)
      UNION ALL
      SELECT pg_snapshot_xmax(p_cur)
    ) c
    WINDOW cuts AS (ORDER BY c.xid)
  ) g
  WHERE g.hi_xid > g.lo_xid AND (p_pos_xid IS NULL OR g.hi_xid > p_pos_xid)
$awa$`,

  // Has the claim with this cursor, or one before it, taken the row?
  `CREATE FUNCTION ${s}.cursor_covers(
  p_prev pg_snapshot, p_cur pg_snapshot, p_pos_xid xid8, p_pos_job_id bigint, p_xid xid8, p_job_id bigint
) RETURNS boolean LANGUAGE sql IMMUTABLE AS $awa$
  SELECT CASE
    WHEN p_prev IS NULL THEN pg_visible_in_snapshot(p_xid, p_cur)
    ELSE pg_visible_in_snapshot(p_xid, p_prev)
      OR (pg_visible_in_snapshot(p_xid, p_cur) AND (p_xid, p_job_id) <= (p_pos_xid, p_pos_job_id))
  END
$awa$`,

  // The newest claim of a lane holds its cursor. A lane that was never claimed from starts before every transaction.
  `CREATE FUNCTION ${s}.lane_cursor(p_lane_id int)
RETURNS TABLE (claim_seq bigint, window_prev pg_snapshot, window_cur pg_snapshot, pos_xid xid8, pos_job_id bigint)
LANGUAGE sql STABLE AS $awa$
  (SELECT c.claim_seq, c.window_prev, c.window_cur, c.pos_xid, c.pos_job_id
   FROM ${s}.lease_claims c WHERE c.lane_id = p_lane_id ORDER BY c.claim_seq DESC LIMIT 1)
  UNION ALL
  SELECT 0, NULL, '1:1:'::pg_snapshot, NULL, NULL
  LIMIT 1
$awa$`,

  // What a cursor leaves to be claimed: the rest of its window, then what is new since.
  `CREATE FUNCTION ${s}.ranges_after(
  p_prev pg_snapshot, p_cur pg_snapshot, p_pos_xid xid8, p_pos_job_id bigint, p_now pg_snapshot
) RETURNS TABLE (lo_xid xid8, lo_job_id bigint, hi_xid xid8) LANGUAGE sql IMMUTABLE ROWS 4 AS $awa$
  SELECT * FROM ${s}.window_ranges(p_prev, p_cur, p_pos_xid, p_pos_job_id) WHERE p_prev IS NOT NULL
  UNION ALL
  SELECT * FROM ${s}.window_ranges(p_cur, p_now, NULL, NULL)
$awa$`,

  // The parts of a lane that hold its unclaimed rows.
  `CREATE FUNCTION ${s}.unclaimed_ranges(p_lane_id int, p_now pg_snapshot)
RETURNS TABLE (lo_xid xid8, lo_job_id bigint, hi_xid xid8) LANGUAGE sql STABLE AS $awa$
  SELECT g.*
  FROM ${s}.lane_cursor(p_lane_id) k
  CROSS JOIN LATERAL ${s}.ranges_after(k.window_prev, k.window_cur, k.pos_xid, k.pos_job_id, p_now) g
$awa$`,
];
