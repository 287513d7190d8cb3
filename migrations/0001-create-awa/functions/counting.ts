import { RINGS } from '../rings.js';
import { lockRings } from './job-rows.js';
import { OWN_NAMES, PLAN_BY_INDEX } from './plan-settings.js';

/** Pages of a table that an estimate looks at. */
const SAMPLED_PAGES = 64;

/** More than a page can hold. */
const ROWS_PER_PAGE = 128;

const childrenOf = (table: string): string => {
  const ring = RINGS.find(({ tables }) => tables.includes(table));
  return `generate_series(0, ${(ring?.slots ?? 1) - 1})`;
};

/**
 * Numbers about queues, at a cost that does not grow with them: exact up to a cap, estimated beyond it.
 *
 * The readings are STABLE, so that all statements of one see one snapshot: a job that moves meanwhile is counted once.
 */
export const counting = (s: string): string[] => [
  /*
   * About how many rows of some lanes a table has from a page on: reads pages at even distances, and multiplies. p_rows says
   * what a row e counts for; k has the lanes' cursors.
   */
  `CREATE FUNCTION ${s}.estimate_rows(p_table regclass, p_first_page bigint, p_lanes int[], p_rows text) RETURNS bigint
LANGUAGE plpgsql STABLE
${PLAN_BY_INDEX} AS $awa$
DECLARE
  v_pages bigint := pg_relation_size(p_table) / current_setting('block_size')::int - p_first_page;
  v_sampled bigint := least(v_pages, ${SAMPLED_PAGES});
  v_rows bigint;
BEGIN
  IF v_pages <= 0 THEN
    RETURN 0;
  END IF;
  EXECUTE format($sql$
    WITH k AS MATERIALIZED (SELECT n.lane_id, c.* FROM unnest($1) AS n(lane_id) CROSS JOIN LATERAL ${s}.lane_cursor(n.lane_id) c)
    SELECT coalesce(sum(%s), 0)
    FROM ONLY %s e
    -- A scan by row addresses is the only one that can be told its pages at run time. No row takes less than 64 bytes.
    WHERE e.lane_id = ANY ($1) AND e.ctid = ANY (ARRAY(
      SELECT format('(%%s,%%s)', $2 + (i * $3) / $4, o)::tid
      FROM generate_series(0, $4 - 1) AS i CROSS JOIN generate_series(1, ${ROWS_PER_PAGE}) AS o))
  $sql$, p_rows, p_table) INTO v_rows USING p_lanes, p_first_page, v_pages, v_sampled;
  RETURN v_rows * v_pages / v_sampled;
END $awa$`,

  // Jobs that wait. Beyond the cap: from the page that holds the first of them on, which of the lanes' rows are unclaimed?
  `CREATE FUNCTION ${s}.count_available(p_lanes int[], p_cap int, OUT jobs bigint, OUT exact boolean) LANGUAGE plpgsql STABLE
${PLAN_BY_INDEX} AS $awa$
DECLARE
  v_read bigint;
BEGIN
  SELECT count(*), count(*) FILTER (WHERE NOT EXISTS (SELECT FROM ${s}.ready_tombstones t
      WHERE t.ready_slot = w.ready_slot AND t.job_id = w.job_id AND t.run_lease = w.run_lease))
  INTO v_read, jobs FROM (
    SELECT e.ready_slot, e.job_id, e.run_lease FROM unnest(p_lanes) AS n(lane_id)
    CROSS JOIN LATERAL ${s}.unclaimed_ranges(n.lane_id, pg_current_snapshot()) g
    -- LATERAL and LIMIT: as a plain join, a lane would be read once, from its beginning, and each row compared with all ranges.
    CROSS JOIN LATERAL (
      SELECT r.ready_slot, r.job_id, r.run_lease FROM ${s}.ready_entries r
      WHERE r.lane_id = n.lane_id AND (r.enqueue_xid, r.job_id) > (g.lo_xid, g.lo_job_id) AND r.enqueue_xid < g.hi_xid
      LIMIT p_cap + 1
    ) e
    LIMIT p_cap + 1
  ) w;
  exact := v_read <= p_cap;
  IF exact THEN
    RETURN;
  END IF;
  jobs := greatest(jobs, (
    SELECT sum(${s}.estimate_rows(format('${s}.ready_entries_%s', f.slot)::regclass, f.page, p_lanes,
      format($sql$(NOT (SELECT ${s}.cursor_covers(k.window_prev, k.window_cur, k.pos_xid, k.pos_job_id, e.enqueue_xid, e.job_id)
        FROM k WHERE k.lane_id = e.lane_id))::int$sql$)))
    FROM (
      SELECT n.slot, min((first.ctid::text::point)[0])::bigint AS page
      FROM ${childrenOf('ready_entries')} AS n(slot) CROSS JOIN unnest(p_lanes) AS l(lane_id)
      CROSS JOIN LATERAL ${s}.unclaimed_ranges(l.lane_id, pg_current_snapshot()) g
      CROSS JOIN LATERAL (
        SELECT e.ctid FROM ${s}.ready_entries e
        WHERE e.ready_slot = n.slot AND e.lane_id = l.lane_id
          AND (e.enqueue_xid, e.job_id) > (g.lo_xid, g.lo_job_id) AND e.enqueue_xid < g.hi_xid
        ORDER BY e.enqueue_xid, e.job_id LIMIT 1
      ) first
      GROUP BY n.slot
    ) f
  ) * jobs / v_read);
END $awa$`,

  // Jobs of which each has a row of its own: waiting for a time, ended otherwise, dead letters.
  ...[
    ['count_deferred', 'deferred_jobs', undefined, true],
    ['count_done', 'done_entries', childrenOf('done_entries'), true],
    ['count_dead', 'dlq_entries', undefined, false],
  ].map(([name, table, slots, hasState]) =>
    countRows(s, String(name), String(table), slots as string | undefined, Boolean(hasState)),
  ),

  `CREATE FUNCTION ${s}.count_completed(p_lanes int[], p_cap int, OUT jobs bigint, OUT exact boolean) LANGUAGE plpgsql STABLE
${PLAN_BY_INDEX} AS $awa$
DECLARE
  v_batch int;
BEGIN
  jobs := 0;
  FOR v_batch IN
    SELECT cardinality(b.job_ids) FROM unnest(p_lanes) AS n(lane_id) JOIN ${s}.completion_batches b ON b.lane_id = n.lane_id
  LOOP
    jobs := jobs + v_batch;
    EXIT WHEN jobs > p_cap;
  END LOOP;
  exact := jobs <= p_cap;
  IF NOT exact THEN
    jobs := greatest(jobs, (
      SELECT sum(${s}.estimate_rows(format('${s}.completion_batches_%s', n.slot)::regclass, 0, p_lanes, 'cardinality(e.job_ids)'))
      FROM ${childrenOf('completion_batches')} AS n(slot)));
  END IF;
END $awa$`,

  // Reads the claim ring, which holds little more than what is open.
  `CREATE FUNCTION ${s}.count_running(p_lanes int[]) RETURNS bigint LANGUAGE sql STABLE
${PLAN_BY_INDEX} AS $awa$
  SELECT coalesce((SELECT sum(cardinality(c.job_ids)) FROM unnest(p_lanes) AS n(lane_id)
      JOIN ${s}.lease_claims c ON c.lane_id = n.lane_id), 0)
    - coalesce((SELECT sum(cardinality(x.items)) FROM unnest(p_lanes) AS n(lane_id)
      JOIN ${s}.lease_claim_closures x ON x.lane_id = n.lane_id), 0)
$awa$`,

  `CREATE FUNCTION ${s}.read_counts(p_queue text, p_cap int) RETURNS TABLE (state text, jobs bigint, exact boolean)
LANGUAGE plpgsql STABLE AS $awa$
DECLARE
  v_lanes int[] := ARRAY(SELECT l.lane_id FROM ${s}.queue_lanes l WHERE l.queue = p_queue);
BEGIN
  RETURN QUERY
  SELECT 'available', c.jobs, c.exact FROM ${s}.count_available(v_lanes, p_cap) c
  UNION ALL SELECT 'running', ${s}.count_running(v_lanes), true
  UNION ALL SELECT 'completed', c.jobs, c.exact FROM ${s}.count_completed(v_lanes, p_cap) c
  UNION ALL
  SELECT t.state, c.jobs, c.exact FROM (VALUES ('scheduled'), ('retryable')) AS t(state)
  CROSS JOIN LATERAL ${s}.count_deferred(v_lanes, t.state, p_cap) c
  UNION ALL SELECT 'cancelled', c.jobs, c.exact FROM ${s}.count_done(v_lanes, 'cancelled', p_cap) c
  UNION ALL
  SELECT 'failed', c.jobs + d.jobs, c.exact AND d.exact
  FROM ${s}.count_done(v_lanes, 'failed', p_cap) c, ${s}.count_dead(v_lanes, NULL, p_cap) d;
END $awa$`,

  // With the rights of the owner, as the next: a sample reads partitions, which nobody else may.
  `CREATE FUNCTION ${s}.count_jobs(p_queue text, p_cap int) RETURNS TABLE (state text, jobs bigint, exact boolean)
LANGUAGE plpgsql SECURITY DEFINER
${OWN_NAMES} AS $awa$
BEGIN
  ${lockRings(s)};
  RETURN QUERY SELECT * FROM ${s}.read_counts(p_queue, p_cap);
END $awa$`,

  `CREATE FUNCTION ${s}.dead_letter_depth(p_cap int) RETURNS TABLE (queue text, jobs bigint, exact boolean)
LANGUAGE sql STABLE SECURITY DEFINER
${OWN_NAMES} AS $awa$
  SELECT q.name, c.jobs, c.exact FROM ${s}.queues q
  CROSS JOIN LATERAL ${s}.count_dead(ARRAY(SELECT l.lane_id FROM ${s}.queue_lanes l WHERE l.queue = q.name), NULL, p_cap) c
$awa$`,

  /*
   * For how long the job that is next in its lane has been due, of the lane where that is longest; NULL: none waits. Cancelled
   * rows are passed over, up to a thousand.
   */
  `CREATE FUNCTION ${s}.oldest_waiting(p_queue text) RETURNS interval LANGUAGE plpgsql
${PLAN_BY_INDEX} AS $awa$
BEGIN
  ${lockRings(s)};
  RETURN (
    SELECT clock_timestamp() - min(head.run_at) FROM ${s}.queue_lanes l
    CROSS JOIN LATERAL ${s}.unclaimed_ranges(l.lane_id, pg_current_snapshot()) g
    CROSS JOIN LATERAL (
      SELECT w.run_at FROM (
        SELECT e.run_at, e.ready_slot, e.job_id, e.run_lease FROM ${s}.ready_entries e
        WHERE e.lane_id = l.lane_id
          AND (e.enqueue_xid, e.job_id) > (g.lo_xid, g.lo_job_id) AND e.enqueue_xid < g.hi_xid
        ORDER BY e.enqueue_xid, e.job_id LIMIT 1000
      ) w
      WHERE NOT EXISTS (SELECT FROM ${s}.ready_tombstones t
        WHERE t.ready_slot = w.ready_slot AND t.job_id = w.job_id AND t.run_lease = w.run_lease)
      LIMIT 1
    ) head
    WHERE l.queue = p_queue);
END $awa$`,
];

/** count_<what>(p_lanes, p_state, p_cap): by the index that begins with the lane. */
function countRows(
  s: string,
  name: string,
  table: string,
  slots: string | undefined,
  hasState: boolean,
): string {
  const what = hasState ? `format('(e.state = %L)::int', p_state)` : `'1'`;
  const estimate =
    slots === undefined
      ? `${s}.estimate_rows('${s}.${table}'::regclass, 0, p_lanes, ${what})`
      : `(SELECT sum(${s}.estimate_rows(format('${s}.${table}_%s', n.slot)::regclass, 0, p_lanes, ${what})) FROM ${slots} AS n(slot))`;
  return `CREATE FUNCTION ${s}.${name}(p_lanes int[], p_state text, p_cap int, OUT jobs bigint, OUT exact boolean)
LANGUAGE plpgsql STABLE
${PLAN_BY_INDEX} AS $awa$
BEGIN
  SELECT count(*) INTO jobs FROM (
    SELECT FROM unnest(p_lanes) AS n(lane_id)
    JOIN ${s}.${table} e ON e.lane_id = n.lane_id${hasState ? ' AND e.state = p_state' : ''} LIMIT p_cap + 1
  ) w;
  exact := jobs <= p_cap;
  IF NOT exact THEN
    jobs := greatest(jobs, ${estimate});
  END IF;
END $awa$`;
}
