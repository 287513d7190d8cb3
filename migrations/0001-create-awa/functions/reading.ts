import { JOB_COLUMNS, jobRows, lockRings, newestJobs } from './job-rows.js';
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
   * State and times of a ready row that nothing newer stands for: available, running (then also where its claim is) or completed.
   * NULL: the job has ended otherwise and is not kept any more, only the ready row of its last attempt is still there.
   */
  `CREATE FUNCTION ${s}.ready_state(
  p_lane_id int, p_ready_slot smallint, p_xid xid8, p_job_id bigint, p_run_lease int,
  OUT state text, OUT claim_seq bigint, OUT item smallint, OUT attempted_at timestamptz, OUT finalized_at timestamptz
) LANGUAGE plpgsql STABLE STRICT COST 5000
${PLAN_BY_INDEX} AS $awa$
DECLARE
  v_claim record;
BEGIN
  IF NOT (SELECT ${s}.cursor_covers(k.window_prev, k.window_cur, k.pos_xid, k.pos_job_id, p_xid, p_job_id)
          FROM ${s}.lane_cursor(p_lane_id) k) THEN
    IF NOT EXISTS (SELECT FROM ${s}.ready_tombstones t
        WHERE t.ready_slot = p_ready_slot AND t.job_id = p_job_id AND t.run_lease = p_run_lease) THEN
      state := 'available';
    END IF;
    RETURN;
  END IF;
  SELECT c.* INTO v_claim FROM ${s}.lease_claims c
  WHERE c.lane_id = p_lane_id AND c.claim_seq = ${s}.claim_of(p_lane_id, p_xid, p_job_id);
  item := array_position(v_claim.job_ids, p_job_id);
  IF item IS NOT NULL AND NOT EXISTS (
    SELECT FROM ${s}.lease_claim_closures x
    WHERE x.claim_slot = v_claim.claim_slot AND x.lane_id = v_claim.lane_id AND x.claim_seq = v_claim.claim_seq
      AND ready_state.item = ANY (x.items)
  ) THEN
    state := 'running';
    claim_seq := v_claim.claim_seq;
    attempted_at := v_claim.claimed_at;
    RETURN;
  END IF;
  SELECT 'completed', b.attempted_at, b.completed_at INTO state, attempted_at, finalized_at FROM ${s}.completion_batches b
  WHERE b.ready_slot = p_ready_slot AND b.job_range @> p_job_id AND p_job_id = ANY (b.job_ids)
  ORDER BY b.completed_at DESC LIMIT 1;
END $awa$`,

  // The newest ready row of a job that waits to be claimed or runs. run_lease and attempt are those before the attempt.
  `CREATE FUNCTION ${s}.live_ready(p_job_id bigint)
RETURNS TABLE (
  job_id bigint, lane_id int, ready_slot smallint, run_lease int, attempt int, max_attempts smallint, kind text, args json,
  unique_key bytea, payload jsonb, run_at timestamptz, created_at timestamptz, state text, claim_seq bigint, item smallint
) LANGUAGE sql STABLE
${PLAN_BY_INDEX} AS $awa$
  SELECT e.job_id, e.lane_id, e.ready_slot, e.run_lease, e.attempt, e.max_attempts, e.kind, e.args, e.unique_key, e.payload,
    e.run_at, e.created_at, r.state, r.claim_seq, r.item
  FROM (SELECT n.* FROM ${s}.ready_entries n WHERE n.job_id = p_job_id ORDER BY n.run_lease DESC LIMIT 1) e
  CROSS JOIN LATERAL ${s}.ready_state(e.lane_id, e.ready_slot, e.enqueue_xid, e.job_id, e.run_lease) r
  WHERE r.state IN ('available', 'running')
$awa$`,

  // The one row that stands for the job now: deferred, dead letter, ended otherwise, or its newest ready row.
  `CREATE FUNCTION ${s}.read_job(p_job_id bigint) RETURNS TABLE (${JOB_COLUMNS}) LANGUAGE sql STABLE AS $awa$
  ${newestJobs(s, jobRows(s, 'WHERE e.job_id = p_job_id ORDER BY e.run_lease DESC LIMIT 1'))}
$awa$`,

  // TRUNCATE does not wait for snapshots: the tables are locked first, so that what is read was not emptied under the reading.
  `CREATE FUNCTION ${s}.get_job(p_job_id bigint) RETURNS TABLE (${JOB_COLUMNS}) LANGUAGE plpgsql
${OWN_NAMES} AS $awa$
BEGIN
  ${lockRings(s)};
  RETURN QUERY SELECT * FROM ${s}.read_job(p_job_id);
END $awa$`,
];
