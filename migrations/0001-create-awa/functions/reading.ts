import { OWN_NAMES, PLAN_BY_INDEX } from './plan-settings.js';

/** Reading jobs. A reading is of one snapshot, so a job that moves meanwhile is seen once and in one state. */
export const reading = (s: string): string[] => [
  /*
   * A lane's claims cover its rows in order, so the claim that took a row is found by bisection over claim_seq; no index
   * on job ids is kept for it. Old claims are gone, those with open attempts stay: the numbers have gaps. The claim found is
   * the oldest kept one that covers the row; whether it is the row's own, its items tell.
   */
  `CREATE FUNCTION ${s}.claim_of(p_lane_id int, p_xid xid8, p_job_id bigint) RETURNS bigint LANGUAGE plpgsql STABLE
${PLAN_BY_INDEX} AS $awa$
DECLARE
  v_low bigint := (SELECT min(c.claim_seq) FROM ${s}.lease_claims c WHERE c.lane_id = p_lane_id);
  v_high bigint := (SELECT max(c.claim_seq) FROM ${s}.lease_claims c WHERE c.lane_id = p_lane_id);
  v_middle bigint;
BEGIN
  WHILE v_low < v_high LOOP
    v_middle := (v_low + v_high) / 2;
    IF (SELECT ${s}.cursor_covers(c.window_prev, c.window_cur, c.pos_xid, c.pos_job_id, p_xid, p_job_id)
        FROM ${s}.lease_claims c WHERE c.lane_id = p_lane_id AND c.claim_seq >= v_middle ORDER BY c.claim_seq LIMIT 1) THEN
      v_high := v_middle;
    ELSE
      v_low := v_middle + 1;
    END IF;
  END LOOP;
  RETURN (SELECT min(c.claim_seq) FROM ${s}.lease_claims c WHERE c.lane_id = p_lane_id AND c.claim_seq >= v_low);
END $awa$`,

  /*
   * The newest ready row of a job, what it says of the job when nothing else stands for it, and, when it is running, where its
   * claim is. run_lease and attempt are those before the attempt. A job that has ended otherwise has no such row: it is gone, or
   * it is in done_entries.
   */
  `CREATE FUNCTION ${s}.newest_ready(p_job_id bigint)
RETURNS TABLE (
  job_id bigint, lane_id int, ready_slot smallint, run_lease int, attempt int, max_attempts smallint, kind text, args json,
  unique_key bytea, payload jsonb, run_at timestamptz, created_at timestamptz,
  state text, claim_seq bigint, item smallint, attempted_at timestamptz, finalized_at timestamptz
) LANGUAGE plpgsql STABLE
${PLAN_BY_INDEX} AS $awa$
#variable_conflict use_column
DECLARE
  v_xid xid8;
  v_claim record;
BEGIN
  SELECT e.job_id, e.lane_id, e.ready_slot, e.run_lease, e.attempt, e.max_attempts, e.kind, e.args, e.unique_key, e.payload,
      e.run_at, e.created_at, e.enqueue_xid
    INTO job_id, lane_id, ready_slot, run_lease, attempt, max_attempts, kind, args, unique_key, payload, run_at, created_at, v_xid
  FROM ${s}.ready_entries e WHERE e.job_id = p_job_id ORDER BY e.run_lease DESC LIMIT 1;
  IF NOT FOUND OR EXISTS (SELECT FROM ${s}.ready_tombstones t
      WHERE t.ready_slot = newest_ready.ready_slot AND t.job_id = p_job_id AND t.run_lease = newest_ready.run_lease) THEN
    RETURN;
  END IF;

  IF NOT (SELECT ${s}.cursor_covers(k.window_prev, k.window_cur, k.pos_xid, k.pos_job_id, v_xid, p_job_id)
          FROM ${s}.lane_cursor(newest_ready.lane_id) k) THEN
    state := 'available';
    RETURN NEXT;
    RETURN;
  END IF;
  SELECT c.* INTO v_claim FROM ${s}.lease_claims c
  WHERE c.lane_id = newest_ready.lane_id AND c.claim_seq = ${s}.claim_of(newest_ready.lane_id, v_xid, p_job_id);
  item := array_position(v_claim.job_ids, p_job_id);
  IF item IS NOT NULL AND NOT EXISTS (
    SELECT FROM ${s}.lease_claim_closures x
    WHERE x.claim_slot = v_claim.claim_slot AND x.lane_id = v_claim.lane_id AND x.claim_seq = v_claim.claim_seq
      AND newest_ready.item = ANY (x.items)
  ) THEN
    state := 'running';
    claim_seq := v_claim.claim_seq;
    attempted_at := v_claim.claimed_at;
    RETURN NEXT;
    RETURN;
  END IF;
  -- Closed, and not by an outcome that leaves a row elsewhere: a success.
  state := 'completed';
  SELECT b.attempted_at, b.completed_at INTO attempted_at, finalized_at FROM ${s}.completion_batches b
  WHERE b.ready_slot = newest_ready.ready_slot AND b.job_range @> p_job_id AND p_job_id = ANY (b.job_ids)
  ORDER BY b.completed_at DESC LIMIT 1;
  RETURN NEXT;
END $awa$`,

  // The one row that stands for the job now: deferred, ended otherwise, or its newest ready row.
  `CREATE FUNCTION ${s}.read_job(p_job_id bigint)
RETURNS TABLE (
  job_id bigint, kind text, queue text, priority smallint, state text, attempt int, max_attempts int, run_lease int,
  run_at timestamptz, created_at timestamptz, attempted_at timestamptz, finalized_at timestamptz, args json, payload jsonb
) LANGUAGE sql STABLE AS $awa$
  WITH rows AS (
    SELECT 1 AS rank, d.run_lease, d.attempt, d.max_attempts, d.lane_id, d.kind, d.args, d.payload, d.run_at, d.created_at,
      d.state, NULL::timestamptz AS attempted_at, NULL::timestamptz AS finalized_at
    FROM ${s}.deferred_jobs d WHERE d.job_id = p_job_id
    UNION ALL
    SELECT 2, d.run_lease, d.attempt, d.max_attempts, d.lane_id, d.kind, d.args, d.payload, d.run_at, d.created_at,
      d.state, d.attempted_at, d.finalized_at
    FROM ${s}.done_entries d WHERE d.job_id = p_job_id
    UNION ALL
    -- An attempt that was claimed counts, and holds the next lease.
    SELECT 3, e.run_lease + (e.state <> 'available')::int, e.attempt + (e.state <> 'available')::int, e.max_attempts,
      e.lane_id, e.kind, e.args, e.payload, e.run_at, e.created_at, e.state, e.attempted_at, e.finalized_at
    FROM ${s}.newest_ready(p_job_id) e
  )
  SELECT p_job_id, r.kind, l.queue, l.priority, r.state, r.attempt, r.max_attempts, r.run_lease,
    r.run_at, r.created_at, r.attempted_at, r.finalized_at, r.args, ${s}.payload_now(r.payload, r.state, p_job_id, r.run_lease)
  FROM rows r JOIN ${s}.queue_lanes l ON l.lane_id = r.lane_id
  ORDER BY r.run_lease DESC, r.rank
  LIMIT 1
$awa$`,

  // TRUNCATE does not wait for snapshots: the tables are locked first, so that what is read was not emptied under the reading.
  `CREATE FUNCTION ${s}.get_job(p_job_id bigint)
RETURNS TABLE (
  job_id bigint, kind text, queue text, priority smallint, state text, attempt int, max_attempts int, run_lease int,
  run_at timestamptz, created_at timestamptz, attempted_at timestamptz, finalized_at timestamptz, args json, payload jsonb
) LANGUAGE plpgsql
${OWN_NAMES} AS $awa$
BEGIN
  LOCK TABLE ${s}.ready_entries, ${s}.completion_batches, ${s}.ready_tombstones, ${s}.lease_claims,
    ${s}.lease_claim_closures, ${s}.done_entries IN ACCESS SHARE MODE;
  RETURN QUERY SELECT * FROM ${s}.read_job(p_job_id);
END $awa$`,

  // Exact, and therefore as slow as the queue is long: for tests, samples and people. Completed jobs are those still kept.
  `CREATE FUNCTION ${s}.count_jobs(p_queue text) RETURNS TABLE (state text, jobs bigint) LANGUAGE sql STABLE AS $awa$
  WITH lanes AS MATERIALIZED (SELECT l.lane_id FROM ${s}.queue_lanes l WHERE l.queue = p_queue),
  closures AS (
    SELECT x.outcome, cardinality(x.items) AS items
    FROM lanes l JOIN ${s}.lease_claim_closures x ON x.lane_id = l.lane_id
  )
  SELECT 'available', count(*) FROM lanes l
  CROSS JOIN LATERAL ${s}.unclaimed_ranges(l.lane_id, pg_current_snapshot()) g
  JOIN ${s}.ready_entries e ON e.lane_id = l.lane_id
    AND (e.enqueue_xid, e.job_id) > (g.lo_xid, g.lo_job_id) AND e.enqueue_xid < g.hi_xid
  WHERE NOT EXISTS (SELECT FROM ${s}.ready_tombstones t
    WHERE t.ready_slot = e.ready_slot AND t.job_id = e.job_id AND t.run_lease = e.run_lease)
  UNION ALL
  SELECT 'running', coalesce(sum(cardinality(c.job_ids)), 0) - (SELECT coalesce(sum(x.items), 0) FROM closures x)
  FROM lanes l JOIN ${s}.lease_claims c ON c.lane_id = l.lane_id
  UNION ALL
  SELECT 'completed', coalesce(sum(cardinality(b.job_ids)), 0) FROM lanes l JOIN ${s}.completion_batches b ON b.lane_id = l.lane_id
  UNION ALL
  SELECT s.state, (SELECT count(*) FROM lanes l JOIN ${s}.deferred_jobs d ON d.lane_id = l.lane_id WHERE d.state = s.state)
  FROM (VALUES ('scheduled'), ('retryable')) AS s(state)
  UNION ALL
  SELECT s.state, (SELECT count(*) FROM lanes l JOIN ${s}.done_entries d ON d.lane_id = l.lane_id WHERE d.state = s.state)
  FROM (VALUES ('failed'), ('cancelled')) AS s(state)
$awa$`,
];
