import { PLAN_BY_INDEX } from './plan-settings.js';

/**
 * Reads the next rows of each lane's window, as far as `filter` lets them, inserts a claim a lane of them, and returns them. Behind them
 * a row without a job for each queue of which a lane was cut for its size.
 */
const takeRows = (s: string, filter: string): string => `
      RETURN QUERY
      WITH found AS MATERIALIZED (
        SELECT l.lane_no, l.max_items, f.*
        FROM unnest(v_lanes, v_limits, v_prevs, v_curs, v_pos_xids, v_pos_job_ids)
          WITH ORDINALITY AS l(lane_id, max_items, prev, cur, pos_xid, pos_job_id, lane_no)
        CROSS JOIN LATERAL (
          SELECT r.*, (row_number() OVER ordered)::smallint AS item,
            sum(pg_column_size(r.args) + coalesce(pg_column_size(r.payload), 0)) OVER ordered AS bytes
          FROM ${s}.window_ranges(l.prev, l.cur, l.pos_xid, l.pos_job_id) g
          CROSS JOIN LATERAL (
            SELECT e.* FROM ${s}.ready_entries e
            WHERE e.lane_id = l.lane_id
              AND (e.enqueue_xid, e.job_id) > (g.lo_xid, g.lo_job_id)
              AND e.enqueue_xid < g.hi_xid
              ${filter}
            ORDER BY e.enqueue_xid, e.job_id
            LIMIT l.max_items
          ) r
          WINDOW ordered AS (ORDER BY r.enqueue_xid, r.job_id)
          ORDER BY r.enqueue_xid, r.job_id
          LIMIT l.max_items
        ) f
        WHERE l.max_items > 0
      ), fitting AS MATERIALIZED (
        SELECT f.*, f.item = 1 OR f.bytes <= c_max_bytes AS fits FROM found f
      ), claims AS (
        INSERT INTO ${s}.lease_claims AS c (
          claim_seq, claimed_at, instance_id, lane_id, claim_slot,
          window_prev, window_cur, pos_xid, pos_job_id, job_ids, run_leases)
        SELECT v_seqs[t.lane_no] + 1, v_claimed_at, p_instance_id, v_lanes[t.lane_no], v_slot,
          CASE WHEN NOT t.used_up THEN v_prevs[t.lane_no] END, v_curs[t.lane_no],
          CASE WHEN NOT t.used_up THEN t.xids[cardinality(t.xids)] END,
          CASE WHEN NOT t.used_up THEN t.job_ids[cardinality(t.job_ids)] END, t.job_ids, t.run_leases
        FROM (
          -- With the last row there is, the window is used up.
          SELECT f.lane_no, count(*) < min(f.max_items) AND bool_and(f.fits) AS used_up,
            array_agg(f.enqueue_xid ORDER BY f.item) FILTER (WHERE f.fits) AS xids,
            array_agg(f.job_id ORDER BY f.item) FILTER (WHERE f.fits) AS job_ids,
            array_agg(f.run_lease + 1 ORDER BY f.item) FILTER (WHERE f.fits) AS run_leases
          FROM fitting f GROUP BY f.lane_no
        ) t
      ), jobs AS (
        SELECT v_queue_nos[f.lane_no], f.lane_id, v_seqs[f.lane_no] + 1, v_claimed_at, f.item,
          f.job_id, f.run_lease + 1, f.attempt + 1, f.max_attempts, v_priorities[f.lane_no], f.ready_slot,
          f.run_at, f.created_at, f.kind, f.args, f.unique_key, f.payload
        FROM fitting f WHERE f.fits ORDER BY f.lane_no, f.item
      )
      SELECT j.* FROM jobs j
      UNION ALL
      SELECT a.* FROM (SELECT array_agg(v_queue_nos[f.lane_no]) AS queue_nos FROM fitting f WHERE NOT f.fits) cut
      CROSS JOIN LATERAL ${s}.about_queues(cut.queue_nos, 'more') a;`;

/**
 * claim_jobs: hands waiting jobs of several queues to one instance, at most p_limits[i] of p_queues[i].
 *
 * A hot queue is claimed from by those only whom the claimer gate admits (bounded-claimers.ts). The lanes take turns (lanes-in-turn.ts):
 * one of each queue that has not got all it may have. For the lanes of a turn, all at once, since what a statement costs
 * before it begins is more than what a lane adds to it:
 *   1. lock their claim heads, SKIP LOCKED: a lane that somebody else is claiming from is left out;
 *   2. in a new statement, so that it sees what the locks' last holders committed, read the lanes' cursors;
 *   3. read the next rows of the open windows, or open new ones;
 *   4. insert one lease_claims row a lane: the attempts and the cursor after them.
 * An open window that is used up before the limit is followed by a new one, with 3 and 4 once more.
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
  // Rows without a job: of these queues there is more to be had, at once ('more') or when somebody else has done claiming.
  `CREATE FUNCTION ${s}.about_queues(p_queue_nos int[], p_what text)
RETURNS TABLE (
  queue_no int, lane_id int, claim_seq bigint, claimed_at timestamptz, item smallint,
  job_id bigint, run_lease int, attempt int, max_attempts smallint, priority smallint, ready_slot smallint,
  run_at timestamptz, created_at timestamptz, kind text, args json, unique_key bytea, payload jsonb
) LANGUAGE sql IMMUTABLE AS $awa$
  SELECT u.queue_no, NULL::int, NULL::bigint, NULL::timestamptz, NULL::smallint, NULL::bigint, NULL::int, NULL::int,
    NULL::smallint, NULL::smallint, NULL::smallint, NULL::timestamptz, NULL::timestamptz, p_what, NULL::json, NULL::bytea, NULL::jsonb
  FROM (SELECT DISTINCT n.queue_no FROM unnest(p_queue_nos) AS n(queue_no)) u
$awa$`,

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
  v_budgets int[] := p_limits;
  v_is_member boolean;
  v_has_peers boolean;
  v_gate record;
  v_refused int[] := '{}';
  v_contended int[] := '{}';
  v_to_mark int[] := '{}';
  v_turn record;
  v_locked int[];
  -- Of the turn's lanes, by lane_no.
  v_lanes int[];
  v_queue_nos int[];
  v_priorities smallint[];
  v_limits int[];
  v_seqs bigint[];
  v_prevs pg_snapshot[];
  v_curs pg_snapshot[];
  v_pos_xids xid8[];
  v_pos_job_ids bigint[];
  v_open boolean[];
  v_empty boolean[];
  v_any_open boolean;
  v_is_foreign boolean;
  v_now pg_snapshot;
  v_slot smallint;
  v_tombstones boolean;
  v_claimed_at timestamptz;
  v_rows bigint;
  v_lane record;
BEGIN
  -- The windows rest on two facts: each statement sees what was committed before it, and no row of ours is among them.
  PERFORM ${s}.require_read_committed();
  IF pg_current_xact_id_if_assigned() IS NOT NULL THEN
    RAISE EXCEPTION 'jobs can only be claimed in a transaction of its own' USING ERRCODE = 'AW003';
  END IF;
  SELECT bool_or(i.instance_id = p_instance_id), count(*) > 1 INTO v_is_member, v_has_peers FROM ${s}.runtime_instances i;
  IF v_is_member IS NOT TRUE THEN
    RAISE EXCEPTION 'instance % is not registered, or was declared lost', p_instance_id USING ERRCODE = 'AW004';
  END IF;

  FOR v_turn IN
    SELECT g.*, lead(g.turn) OVER (ORDER BY g.turn) IS NULL AS is_last
    FROM (
      SELECT t.turn, array_agg(t.queue_no) AS queue_nos, array_agg(t.lane_id) AS lane_ids,
        array_agg(t.priority) AS priorities, array_agg(t.as_old_as) AS as_old_as
      FROM ${s}.lanes_in_turn(p_queues, p_limits, coalesce(p_priorities, array_fill(0, ARRAY[cardinality(p_queues)])), p_drain) t
      GROUP BY t.turn
    ) g
    ORDER BY g.turn
  LOOP
    -- Every queue that has anything has a lane in the first turn. Nobody is kept from a queue by a process that is alone.
    IF v_turn.turn = 1 AND NOT p_drain THEN
      FOR v_gate IN
        SELECT n.queue_no, g.admitted, g.mark_due FROM unnest(v_turn.queue_nos) AS n(queue_no)
        JOIN ${s}.queue_claimer_state c ON c.queue = p_queues[n.queue_no] AND (v_has_peers OR c.hot OR c.target > 1)
        CROSS JOIN LATERAL ${s}.claimer_gate(p_instance_id, c.queue, false) g
        WHERE g.mark_due OR NOT g.admitted
      LOOP
        IF v_gate.admitted THEN
          v_to_mark := v_to_mark || v_gate.queue_no;
        ELSE
          v_refused := v_refused || v_gate.queue_no;
          v_budgets[v_gate.queue_no] := 0;
        END IF;
      END LOOP;
    END IF;

    SELECT array_agg(h.lane_id) INTO v_locked FROM (
      SELECT h.lane_id FROM unnest(v_turn.lane_ids, v_turn.queue_nos) AS t(lane_id, queue_no)
      JOIN ${s}.queue_claim_heads h ON h.lane_id = t.lane_id
      WHERE v_budgets[t.queue_no] > 0
      FOR UPDATE OF h SKIP LOCKED
    ) h;
    IF v_locked IS NULL OR cardinality(v_locked) < cardinality(v_turn.lane_ids) THEN
      v_contended := v_contended || ARRAY(
        SELECT t.queue_no FROM unnest(v_turn.lane_ids, v_turn.queue_nos) AS t(lane_id, queue_no)
        WHERE v_budgets[t.queue_no] > 0 AND t.lane_id <> ALL (coalesce(v_locked, '{}')));
    END IF;
    CONTINUE WHEN v_locked IS NULL;

    -- First what is left of the open windows. Where none is open, one from the last one's end to now.
    SELECT array_agg(t.lane_id), array_agg(t.queue_no), array_agg(t.priority),
      array_agg(CASE WHEN t.as_old_as IS NULL THEN least(v_budgets[t.queue_no], c_max_items)
        ELSE ${s}.rows_as_old(t.lane_id, t.as_old_as, least(v_budgets[t.queue_no], c_max_items)) END),
      array_agg(k.claim_seq), array_agg(coalesce(k.window_prev, k.window_cur)),
      array_agg(CASE WHEN k.window_prev IS NULL THEN pg_current_snapshot() ELSE k.window_cur END),
      array_agg(k.pos_xid), array_agg(k.pos_job_id), array_agg(k.window_prev IS NOT NULL), array_agg(true), bool_or(k.window_prev IS NOT NULL),
      bool_or(pg_snapshot_xmax(k.window_cur) > pg_snapshot_xmax(pg_current_snapshot())),
      pg_current_snapshot(), ${s}.current_slot('claim'), EXISTS (SELECT FROM ${s}.ready_tombstones x WHERE x.lane_id = ANY (v_locked))
    INTO v_lanes, v_queue_nos, v_priorities, v_limits, v_seqs, v_prevs, v_curs, v_pos_xids, v_pos_job_ids, v_open, v_empty, v_any_open,
      v_is_foreign, v_now, v_slot, v_tombstones
    FROM unnest(v_turn.lane_ids, v_turn.queue_nos, v_turn.priorities, v_turn.as_old_as) AS t(lane_id, queue_no, priority, as_old_as)
    CROSS JOIN LATERAL ${s}.lane_cursor(t.lane_id) k
    WHERE t.lane_id = ANY (v_locked);
    IF v_is_foreign THEN
      RAISE EXCEPTION 'the claims of this schema come from another cluster: its transaction ids are ahead of this one'
        USING ERRCODE = 'AW006';
    END IF;
    v_claimed_at := clock_timestamp();

    LOOP
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
      GET DIAGNOSTICS v_rows = ROW_COUNT;
      -- The most frequent ends need no look at what was taken: no window was open, or all limits are reached.
      EXIT WHEN v_turn.is_last AND NOT v_tombstones AND v_to_mark = '{}'
        AND (NOT v_any_open OR v_rows = (SELECT sum(l.max_items) FROM unnest(v_limits) AS l(max_items)));

      v_any_open := false;
      FOR v_lane IN
        SELECT n.no, v_queue_nos[n.no] AS queue_no, coalesce(cardinality(c.job_ids), 0) AS taken, c.window_prev IS NULL AS used_up
        FROM generate_subscripts(v_lanes, 1) AS n(no)
        LEFT JOIN LATERAL (
          SELECT r.job_ids, r.window_prev FROM ${s}.lease_claims r
          WHERE r.claim_slot = v_slot AND r.lane_id = v_lanes[n.no] AND r.claim_seq = v_seqs[n.no] + 1 LIMIT 1
        ) c ON true
        WHERE v_limits[n.no] > 0
      LOOP
        v_budgets[v_lane.queue_no] := v_budgets[v_lane.queue_no] - v_lane.taken;
        v_empty[v_lane.no] := v_empty[v_lane.no] AND v_lane.taken = 0;
        IF v_lane.taken > 0 AND v_lane.queue_no = ANY (v_to_mark) THEN
          v_to_mark := array_remove(v_to_mark, v_lane.queue_no);
          PERFORM ${s}.mark_claimer(p_instance_id, p_queues[v_lane.queue_no]);
        END IF;
        -- Once more, with a new window.
        v_limits[v_lane.no] := CASE WHEN v_open[v_lane.no] AND v_lane.used_up THEN v_limits[v_lane.no] - v_lane.taken ELSE 0 END;
        v_open[v_lane.no] := false;
        IF v_limits[v_lane.no] > 0 THEN
          v_any_open := true;
          v_seqs[v_lane.no] := v_seqs[v_lane.no] + (v_lane.taken > 0)::int;
          v_prevs[v_lane.no] := v_curs[v_lane.no];
          v_curs[v_lane.no] := v_now;
          v_pos_xids[v_lane.no] := NULL;
          v_pos_job_ids[v_lane.no] := NULL;
        END IF;
      END LOOP;
      EXIT WHEN NOT v_any_open;
    END LOOP;

    -- Only tombstones: a claim of nothing takes the cursor past them, so that they are walked over once.
    IF v_tombstones THEN
      INSERT INTO ${s}.lease_claims (claim_seq, claimed_at, instance_id, lane_id, claim_slot, window_cur, job_ids, run_leases)
      SELECT v_seqs[n.no] + 1, v_claimed_at, p_instance_id, v_lanes[n.no], v_slot, v_curs[n.no], '{}', '{}'
      FROM generate_subscripts(v_lanes, 1) AS n(no)
      WHERE v_empty[n.no] AND EXISTS (SELECT FROM ${s}.ready_tombstones t WHERE t.lane_id = v_lanes[n.no]);
    END IF;
  END LOOP;

  IF v_refused <> '{}' THEN
    RETURN QUERY SELECT a.* FROM ${s}.about_queues(v_refused, 'refused') a;
  END IF;
  IF v_contended <> '{}' THEN
    RETURN QUERY SELECT a.* FROM ${s}.about_queues(v_contended, 'contended') a;
  END IF;
END $awa$`,
];
