/**
 * Priority aging: a job that waits is claimed as if it were more urgent, one priority for each aging step of its queue. Nothing is
 * rewritten: the lane it lies in stays, and the priority it has grown into is computed from the run_at of the lane's first
 * unclaimed row, at each claim.
 *
 * A lane that has aged stands in line twice: with its old rows at the priority they have grown into, and with the others at its own.
 * Otherwise one old row would take the fresh ones behind it past more urgent jobs.
 */
export const priorityAging = (s: string): string[] => [
  // How many steps old; 0 when aging is off.
  `CREATE FUNCTION ${s}.aged_priority(p_priority int, p_run_at timestamptz, p_aging_ms int, p_now timestamptz) RETURNS int
LANGUAGE sql IMMUTABLE AS $awa$
  SELECT CASE WHEN p_aging_ms = 0 OR p_run_at > p_now THEN p_priority
    ELSE greatest(1, p_priority - floor(least(extract(epoch FROM p_now - p_run_at) * 1000 / p_aging_ms, 4)))::int END
$awa$`,

  // The first unclaimed row of a lane tells how long the lane has waited. Index ranges only, and the first row of each.
  `CREATE FUNCTION ${s}.lane_head(p_lane_id int) RETURNS TABLE (run_at timestamptz) LANGUAGE sql STABLE ROWS 1 AS $awa$
  (SELECT head.run_at
   FROM ${s}.unclaimed_ranges(p_lane_id, pg_current_snapshot()) g
   CROSS JOIN LATERAL (
     SELECT e.run_at, e.enqueue_xid, e.job_id FROM ${s}.ready_entries e
     WHERE e.lane_id = p_lane_id
       AND (e.enqueue_xid, e.job_id) > (g.lo_xid, g.lo_job_id) AND e.enqueue_xid < g.hi_xid
     ORDER BY e.enqueue_xid, e.job_id LIMIT 1
   ) head
   ORDER BY head.enqueue_xid, head.job_id LIMIT 1)
  UNION ALL
  -- A cursor of another cluster finds nothing: the claim has to see it, and refuses.
  SELECT clock_timestamp() FROM ${s}.lane_cursor(p_lane_id) k
  WHERE pg_snapshot_xmax(k.window_cur) > pg_snapshot_xmax(pg_current_snapshot())
  LIMIT 1
$awa$`,

  // How many of the first p_limit unclaimed rows of a lane, before the first that is not as old.
  `CREATE FUNCTION ${s}.rows_as_old(p_lane_id int, p_run_at timestamptz, p_limit int) RETURNS int LANGUAGE sql STABLE AS $awa$
  SELECT coalesce(min(o.nth) FILTER (WHERE o.run_at > p_run_at) - 1, count(*))::int
  FROM (
    SELECT r.run_at, row_number() OVER (ORDER BY r.enqueue_xid, r.job_id) AS nth
    FROM ${s}.unclaimed_ranges(p_lane_id, pg_current_snapshot()) g
    CROSS JOIN LATERAL (
      SELECT e.run_at, e.enqueue_xid, e.job_id FROM ${s}.ready_entries e
      WHERE e.lane_id = p_lane_id
        AND (e.enqueue_xid, e.job_id) > (g.lo_xid, g.lo_job_id) AND e.enqueue_xid < g.hi_xid
      ORDER BY e.enqueue_xid, e.job_id LIMIT p_limit
    ) r
    ORDER BY r.enqueue_xid, r.job_id LIMIT p_limit
  ) o
$awa$`,
];
