/**
 * The claim window: which ready rows of a lane are new.
 *
 * A row carries the id of the transaction that wrote it. "New since a claim" is "visible now, not visible in that claim's
 * snapshot", and that is a handful of ranges of (enqueue_xid, job_id), each an index range:
 *   - each transaction that was in progress in the older snapshot and has ended since (a probe of one xid), and
 *   - everything from the older snapshot's xmax on, cut at the transactions still in progress in the newer one.
 * The cuts matter: without them a scan would walk over all rows of a large open transaction to reach the next one's.
 */
export const claimWindow = (s: string): string[] => [
  // Bounds are exclusive on the pair (enqueue_xid, job_id); the ranges come in that order, disjoint, and after the position.
  `CREATE FUNCTION ${s}.window_ranges(p_prev pg_snapshot, p_cur pg_snapshot, p_pos_xid xid8, p_pos_job_id bigint)
RETURNS TABLE (lo_xid xid8, lo_job_id bigint, hi_xid xid8, hi_job_id bigint) LANGUAGE plpgsql IMMUTABLE AS $awa$
DECLARE
  c_last_id CONSTANT bigint := 9223372036854775807;
  v_xid xid8;
BEGIN
  hi_job_id := c_last_id;
  lo_job_id := 0;
  FOR v_xid IN SELECT x FROM pg_snapshot_xip(p_prev) x WHERE pg_visible_in_snapshot(x, p_cur) ORDER BY x LOOP
    CONTINUE WHEN (v_xid, c_last_id) <= (p_pos_xid, p_pos_job_id);
    lo_xid := v_xid;
    lo_job_id := CASE WHEN v_xid = p_pos_xid THEN p_pos_job_id ELSE 0 END;
    hi_xid := v_xid;
    RETURN NEXT;
  END LOOP;

  lo_xid := pg_snapshot_xmax(p_prev);
  lo_job_id := 0;
  hi_job_id := 0;
  IF (p_pos_xid, p_pos_job_id) > (lo_xid, lo_job_id) THEN
    lo_xid := p_pos_xid;
    lo_job_id := p_pos_job_id;
  END IF;
  FOR v_xid IN SELECT x FROM pg_snapshot_xip(p_cur) x WHERE x >= lo_xid ORDER BY x LOOP
    hi_xid := v_xid;
    IF hi_xid > lo_xid THEN
      RETURN NEXT;
    END IF;
    lo_xid := v_xid;
    lo_job_id := c_last_id;
  END LOOP;
  hi_xid := pg_snapshot_xmax(p_cur);
  IF hi_xid > lo_xid THEN
    RETURN NEXT;
  END IF;
END $awa$`,

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

  // The parts of a lane that hold its unclaimed rows: the rest of the open window, then what is new since.
  `CREATE FUNCTION ${s}.unclaimed_ranges(p_lane_id int, p_now pg_snapshot)
RETURNS TABLE (lo_xid xid8, lo_job_id bigint, hi_xid xid8, hi_job_id bigint) LANGUAGE sql STABLE AS $awa$
  SELECT g.lo_xid, g.lo_job_id, g.hi_xid, g.hi_job_id
  FROM ${s}.lane_cursor(p_lane_id) k
  CROSS JOIN LATERAL (
    SELECT * FROM ${s}.window_ranges(k.window_prev, k.window_cur, k.pos_xid, k.pos_job_id) WHERE k.window_prev IS NOT NULL
    UNION ALL
    SELECT * FROM ${s}.window_ranges(k.window_cur, p_now, NULL, NULL)
  ) g
$awa$`,
];
