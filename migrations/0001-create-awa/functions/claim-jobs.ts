import { PLAN_BY_INDEX } from './plan-settings.js';

/** Reads the next rows of the window, as far as `filter` lets them, inserts the claim of them, and returns them. */
const takeRows = (s: string, filter: string): string => `
      RETURN QUERY
      WITH found AS MATERIALIZED (
        SELECT r.*, (row_number() OVER ordered)::smallint AS item, sum(pg_column_size(r.args) + coalesce(pg_column_size(r.payload), 0)) OVER ordered AS bytes
        FROM ${s}.window_ranges(v_prev, v_cur, v_pos_xid, v_pos_job_id) g
        CROSS JOIN LATERAL (
          SELECT e.* FROM ${s}.ready_entries e
          WHERE e.lane_id = v_lane.lane_id
            AND (e.enqueue_xid, e.job_id) > (g.lo_xid, g.lo_job_id)
            AND e.enqueue_xid < g.hi_xid
            ${filter}
          ORDER BY e.enqueue_xid, e.job_id
          LIMIT v_limit
        ) r
        WINDOW ordered AS (ORDER BY r.enqueue_xid, r.job_id)
        ORDER BY r.enqueue_xid, r.job_id
        LIMIT v_limit
      ), taken AS MATERIALIZED (
        SELECT f.*, f.item = (SELECT count(*) FROM found) AND f.item < v_limit AS is_last
        FROM found f WHERE f.item = 1 OR f.bytes <= c_max_bytes
      ), claim AS (
        -- With the last row there is, the window is used up.
        INSERT INTO ${s}.lease_claims AS c (
          claim_seq, claimed_at, instance_id, lane_id, claim_slot,
          window_prev, window_cur, pos_xid, pos_job_id, job_ids, run_leases)
        SELECT v_seq + 1, v_claimed_at, p_instance_id, v_lane.lane_id, v_slot,
          CASE WHEN NOT bool_or(t.is_last) THEN v_prev END, v_cur,
          CASE WHEN NOT bool_or(t.is_last) THEN (array_agg(t.enqueue_xid ORDER BY t.item DESC))[1] END,
          CASE WHEN NOT bool_or(t.is_last) THEN (array_agg(t.job_id ORDER BY t.item DESC))[1] END,
          array_agg(t.job_id ORDER BY t.item), array_agg(t.run_lease + 1 ORDER BY t.item)
        FROM taken t HAVING count(*) > 0
      )
      SELECT v_lane.queue_no, v_lane.lane_id, v_seq + 1, v_claimed_at, t.item,
        t.job_id, t.run_lease + 1, t.attempt + 1, t.max_attempts, v_lane.priority, t.ready_slot,
        t.run_at, t.created_at, t.kind, t.args, t.unique_key, t.payload
      FROM taken t ORDER BY t.item;`;

/**
 * claim_jobs: hands waiting jobs of several queues to one instance, at most p_limits[i] of p_queues[i].
 *
 * A hot queue is claimed from by those only whom the claimer gate admits (bounded-claimers.ts). Per lane that has something to
 * claim, in the order of lanes-in-turn.ts:
 *   1. lock the lane's claim head, SKIP LOCKED: somebody else is claiming from this lane, go on to another;
 *   2. in a new statement, so that it sees what the lock's last holder committed, read the lane's cursor;
 *   3. read the next rows of the open window, or open a new one;
 *   4. insert one lease_claims row: the attempts and the cursor after them.
 * p_drain: for an administrator, who goes past pauses and gates. p_priorities: the one priority in which a queue is known to have jobs, or 0;
 * NULL: nothing is known.
 * Nothing of a job or lane is updated, and a call that finds nothing writes nothing. Lane locks are held until the call commits; they are
 * never waited for, so their order does not matter.
 * A transaction that claims enqueues nothing, before (that is refused) or after (nobody does): its window would take its own rows for
 * claimed ones.
 *
 * Step 3 reads lane_id, (enqueue_xid, job_id) ranges of each child's _lane index and stops at the limit: its cost
 * depends on the number of rows taken, not on the number waiting.
 */
export const claimJobs = (s: string): string[] => [
  `CREATE FUNCTION ${s}.claim_jobs(p_instance_id uuid, p_queues text[], p_limits int[], p_drain boolean DEFAULT false, p_priorities int[] DEFAULT NULL)
RETURNS TABLE (
  queue_no int, lane_id int, claim_seq bigint, claimed_at timestamptz, item smallint,
  job_id bigint, run_lease int, attempt int, max_attempts smallint, priority smallint, ready_slot smallint,
  run_at timestamptz, created_at timestamptz, kind text, args json, unique_key bytea, payload jsonb
) LANGUAGE plpgsql
${PLAN_BY_INDEX} AS $awa$
#variable_conflict use_column
DECLARE
  c_max_items CONSTANT int := 512;  -- a claim row stays within a page
  -- What is read for one lane is sent before the commit, with the lane locked: it has to fit into what a connection buffers,
  -- or a client that does not read would stop everybody. One job is always taken, whatever its size.
  c_max_bytes CONSTANT int := 1048576;
  v_budget int[] := p_limits;
  v_lane record;
  v_queue_no int := 0;
  v_gate record;
  v_left int;
  v_limit int;
  v_taken int;
  v_opened boolean;
  v_tombstones boolean;
  v_nothing boolean;
  v_contended int[] := '{}';
  v_cut int[] := '{}';
  v_refused int[] := '{}';
  v_seq bigint;
  v_prev pg_snapshot;
  v_cur pg_snapshot;
  v_pos_xid xid8;
  v_pos_job_id bigint;
  v_slot smallint;
  v_claimed_at timestamptz;
BEGIN
  -- The windows rest on two facts: each statement sees what was committed before it, and no row of ours is among them.
  PERFORM ${s}.require_read_committed();
  IF pg_current_xact_id_if_assigned() IS NOT NULL THEN
    RAISE EXCEPTION 'jobs can only be claimed in a transaction of its own' USING ERRCODE = 'AW003';
  END IF;
  IF NOT EXISTS (SELECT FROM ${s}.runtime_instances i WHERE i.instance_id = p_instance_id) THEN
    RAISE EXCEPTION 'instance % is not registered, or was declared lost', p_instance_id USING ERRCODE = 'AW004';
  END IF;

  FOR v_lane IN
    SELECT t.* FROM ${s}.lanes_in_turn(p_queues, p_limits, coalesce(p_priorities, array_fill(0, ARRAY[cardinality(p_queues)])), p_drain) t
  LOOP
    CONTINUE WHEN v_budget[v_lane.queue_no] <= 0;
    IF v_lane.queue_no <> v_queue_no THEN
      v_queue_no := v_lane.queue_no;
      SELECT * INTO v_gate FROM ${s}.claimer_gate(p_instance_id, v_lane.queue, p_drain);
      IF NOT v_gate.admitted THEN
        v_refused := v_refused || v_lane.queue_no;
      END IF;
    END IF;
    CONTINUE WHEN NOT v_gate.admitted;
    PERFORM FROM ${s}.queue_claim_heads h WHERE h.lane_id = v_lane.lane_id FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
      v_contended := v_contended || v_lane.queue_no;
      CONTINUE;
    END IF;

    SELECT k.claim_seq, k.window_prev, k.window_cur, k.pos_xid, k.pos_job_id
      INTO v_seq, v_prev, v_cur, v_pos_xid, v_pos_job_id FROM ${s}.lane_cursor(v_lane.lane_id) k;
    v_left := v_budget[v_lane.queue_no];
    IF v_lane.as_old_as IS NOT NULL THEN
      v_left := ${s}.rows_as_old(v_lane.lane_id, v_lane.as_old_as, least(v_left, c_max_items));
      CONTINUE WHEN v_left = 0;
    END IF;
    v_slot := ${s}.current_slot('claim');
    IF pg_snapshot_xmax(v_cur) > pg_snapshot_xmax(pg_current_snapshot()) THEN
      RAISE EXCEPTION 'the claims of this schema come from another cluster: its transaction ids are ahead of this one'
        USING ERRCODE = 'AW006';
    END IF;
    v_claimed_at := clock_timestamp();
    v_opened := false;
    v_nothing := true;
    v_tombstones := EXISTS (SELECT FROM ${s}.ready_tombstones t WHERE t.lane_id = v_lane.lane_id);

    -- First what is left of the open window, then one new window, from its end to now.
    LOOP
      IF v_prev IS NULL THEN
        EXIT WHEN v_opened;
        v_opened := true;
        v_prev := v_cur;
        v_cur := pg_current_snapshot();
        v_pos_xid := NULL;
        v_pos_job_id := NULL;
      END IF;
      v_limit := least(v_left, c_max_items);

      -- Two statements, as the look at tombstones costs a tenth of a small claim, and next to nobody has any.
      IF v_tombstones THEN
${takeRows(
  s,
  `AND NOT EXISTS (SELECT FROM ${s}.ready_tombstones t
              WHERE t.ready_slot = e.ready_slot AND t.job_id = e.job_id AND t.run_lease = e.run_lease)`,
)}
      ELSE
${takeRows(s, '')}
      END IF;
      GET DIAGNOSTICS v_taken = ROW_COUNT;
      v_nothing := v_nothing AND v_taken = 0;
      v_budget[v_lane.queue_no] := v_budget[v_lane.queue_no] - v_taken;
      v_left := v_left - v_taken;
      IF v_taken > 0 AND v_gate.mark_due THEN
        PERFORM ${s}.mark_claimer(p_instance_id, v_lane.queue);
        v_gate.mark_due := false;
      END IF;
      EXIT WHEN v_taken = v_limit;
      IF v_taken > 0 AND (SELECT c.window_prev IS NOT NULL FROM ${s}.lease_claims c
        WHERE c.claim_slot = v_slot AND c.lane_id = v_lane.lane_id AND c.claim_seq = v_seq + 1) THEN
        v_cut := v_cut || v_lane.queue_no;
        EXIT;
      END IF;
      v_seq := v_seq + (v_taken > 0)::int;
      v_prev := NULL;
    END LOOP;

    -- Only tombstones: a claim of nothing takes the cursor past them, so that they are walked over once.
    IF v_nothing AND v_tombstones THEN
      INSERT INTO ${s}.lease_claims (claim_seq, claimed_at, instance_id, lane_id, claim_slot, window_cur, job_ids, run_leases)
      VALUES (v_seq + 1, v_claimed_at, p_instance_id, v_lane.lane_id, v_slot, v_cur, '{}', '{}');
    END IF;
  END LOOP;

  -- Rows without a job: of these queues there is more to be had, at once or when somebody else has done claiming.
  RETURN QUERY SELECT q, NULL::int, NULL::bigint, NULL::timestamptz, NULL::smallint, NULL::bigint, NULL::int, NULL::int,
    NULL::smallint, NULL::smallint, NULL::smallint, NULL::timestamptz, NULL::timestamptz,
    CASE WHEN q = ANY (v_cut) THEN 'more' WHEN q = ANY (v_refused) THEN 'refused' ELSE 'contended' END, NULL::json, NULL::bytea, NULL::jsonb
  FROM (SELECT DISTINCT unnest(v_cut || v_refused || v_contended)) AS u(q);
END $awa$`,
];
