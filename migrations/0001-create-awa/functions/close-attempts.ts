import { OWN_NAMES, PLAN_BY_INDEX } from './plan-settings.js';
import { DUE_SOON, dueChannel } from './promote-deferred.js';

/**
 * Closing attempts. An attempt is an item of a claim, and it is open until a closure names it: the first closure wins,
 * whoever comes later is stale. Every writer about an attempt locks its claim with lock_claims, and then, under the lock, asks
 * open_items whether it is still open.
 */
export const closeAttempts = (s: string, channel: string): string[] => [
  // A statement has to see what was committed before it: under a snapshot of the transaction, two could win one attempt.
  `CREATE FUNCTION ${s}.require_read_committed() RETURNS void LANGUAGE plpgsql
${OWN_NAMES} AS $awa$
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'jobs can only be claimed, closed and cancelled under READ COMMITTED, not %',
      upper(current_setting('transaction_isolation')) USING ERRCODE = 'AW002';
  END IF;
END $awa$`,

  // Which items (by ordinal) are open for this (job_id, run_lease). For whoever holds the locks of lock_claims, in a statement after it:
  // it has to see the closures of whoever held them before. An item without a lane is none.
  `CREATE FUNCTION ${s}.open_items(
  p_lane_ids int[], p_claim_seqs bigint[], p_items smallint[], p_job_ids bigint[], p_run_leases int[]
) RETURNS TABLE (ord int, claim_slot smallint, claimed_at timestamptz) LANGUAGE plpgsql
${PLAN_BY_INDEX} AS $awa$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  WITH claims AS MATERIALIZED (
    SELECT c.claim_slot, c.lane_id, c.claim_seq, c.claimed_at, c.job_ids, c.run_leases, ARRAY(
      SELECT unnest(x.items) FROM ${s}.lease_claim_closures x
      WHERE x.claim_slot = c.claim_slot AND x.lane_id = c.lane_id AND x.claim_seq = c.claim_seq
    ) AS closed_items
    FROM (SELECT DISTINCT * FROM unnest(p_lane_ids, p_claim_seqs)) AS k(lane_id, claim_seq)
    JOIN ${s}.lease_claims c ON c.lane_id = k.lane_id AND c.claim_seq = k.claim_seq
  )
  SELECT min(i.ord)::int, c.claim_slot, c.claimed_at
  FROM unnest(p_lane_ids, p_claim_seqs, p_items, p_job_ids, p_run_leases)
    WITH ORDINALITY AS i(lane_id, claim_seq, item, job_id, run_lease, ord)
  JOIN claims c ON c.lane_id = i.lane_id AND c.claim_seq = i.claim_seq
  WHERE c.job_ids[i.item] = i.job_id AND c.run_leases[i.item] = i.run_lease AND i.item <> ALL (c.closed_items)
  GROUP BY i.lane_id, i.claim_seq, i.item, c.claim_slot, c.claimed_at;
END $awa$`,

  // Records successes: a closure a claim, a completion batch a claim and ready slot. Answers the others: stale; busy (only without
  // p_wait): somebody has locked the claim.
  // p_unique_ords and p_unique_keys name the jobs with unique keys among them, p_state_ords the attempts that may have saved something.
  `CREATE FUNCTION ${s}.complete_attempts(
  p_lane_ids int[], p_claim_seqs bigint[], p_items smallint[], p_job_ids bigint[], p_run_leases int[], p_ready_slots smallint[],
  p_unique_ords int[], p_unique_keys bytea[], p_state_ords int[], p_wait boolean
) RETURNS TABLE (ord int, refusal text) LANGUAGE plpgsql
${PLAN_BY_INDEX} AS $awa$
#variable_conflict use_column
DECLARE
  v_now timestamptz := clock_timestamp();
  v_lanes int[] := ${s}.lock_claims(p_lane_ids, p_claim_seqs, p_wait);
  v_open int[];
BEGIN
  WITH done AS MATERIALIZED (
    SELECT o.ord, o.claim_slot, o.claimed_at, p_lane_ids[o.ord] AS lane_id, p_claim_seqs[o.ord] AS claim_seq,
      p_items[o.ord] AS item, p_job_ids[o.ord] AS job_id, p_ready_slots[o.ord] AS ready_slot
    FROM ${s}.open_items(v_lanes, p_claim_seqs, p_items, p_job_ids, p_run_leases) o
  ), closed AS (
    INSERT INTO ${s}.lease_claim_closures (claim_seq, closed_at, lane_id, claim_slot, outcome, items)
    SELECT d.claim_seq, v_now, d.lane_id, d.claim_slot, 'completed', array_agg(d.item ORDER BY d.item)
    FROM done d GROUP BY d.claim_slot, d.lane_id, d.claim_seq
  ), batched AS (
    INSERT INTO ${s}.completion_batches (completed_at, attempted_at, lane_id, ready_slot, job_ids, job_range)
    SELECT v_now, d.claimed_at, d.lane_id, d.ready_slot, array_agg(d.job_id ORDER BY d.job_id),
      int8range(min(d.job_id), max(d.job_id), '[]')
    FROM done d GROUP BY d.lane_id, d.claim_seq, d.claimed_at, d.ready_slot
  )
  SELECT coalesce(array_agg(d.ord), '{}') INTO v_open FROM done d;

  IF cardinality(p_unique_ords) > 0 THEN
    PERFORM ${s}.end_unique_keys(array_agg(u.unique_key), array_agg(p_job_ids[u.ord]), 'completed', array_agg(p_ready_slots[u.ord]))
    FROM unnest(p_unique_ords, p_unique_keys) AS u(ord, unique_key) WHERE u.ord = ANY (v_open);
  END IF;
  IF cardinality(p_state_ords) > 0 THEN
    PERFORM ${s}.end_attempt_states(array_agg(p_job_ids[o]), array_agg(p_run_leases[o])) FROM unnest(p_state_ords) AS o WHERE o = ANY (v_open);
  END IF;

  RETURN QUERY SELECT o, CASE WHEN v_lanes[o] IS NULL THEN 'busy' ELSE 'stale' END
  FROM generate_subscripts(p_items, 1) AS o WHERE o <> ALL (v_open);
END $awa$`,

  `CREATE FUNCTION ${s}.retry_delay(p_attempt int) RETURNS interval LANGUAGE sql VOLATILE AS $awa$
  SELECT least(pg_catalog.power(2::double precision, least(p_attempt, 30)::double precision) * (1 + pg_catalog.random() * 0.25), 86400) * interval '1 second'
$awa$`,

  // The one place that decides what becomes of an attempt that did not succeed, whoever reports it. A dlq_reason says that the
  // job is a dead letter.
  `CREATE FUNCTION ${s}.state_after(p_outcome text, p_attempt int, p_max_attempts int, p_dead_letters boolean)
RETURNS TABLE (state text, dlq_reason text) LANGUAGE sql IMMUTABLE ROWS 1 AS $awa$
  SELECT t.state, CASE WHEN t.state = 'failed' AND p_dead_letters THEN
    CASE p_outcome
      WHEN 'failed' THEN 'terminal_error'
      WHEN 'invalid' THEN 'invalid_args'
      WHEN 'lost' THEN 'worker_lost'
      WHEN 'timed_out' THEN 'timed_out'
      ELSE 'max_attempts_exhausted'
    END
  END
  FROM (SELECT CASE
    WHEN p_outcome IN ('error', 'lost', 'timed_out') THEN CASE WHEN p_attempt < p_max_attempts THEN 'retryable' ELSE 'failed' END
    WHEN p_outcome IN ('failed', 'invalid') THEN 'failed'
    WHEN p_outcome IN ('cancelled', 'drained') THEN 'cancelled'
    WHEN p_outcome = 'snoozed' THEN 'scheduled'
    WHEN p_outcome = 'released' THEN 'available'
  END AS state) t
$awa$`,

  `CREATE FUNCTION ${s}.unknown_outcome(p_outcome text) RETURNS text LANGUAGE plpgsql AS $awa$
BEGIN
  RAISE EXCEPTION '"%" is not an outcome of an attempt', p_outcome USING ERRCODE = 'invalid_parameter_value';
END $awa$`,

  // The history keeps the newest 50 errors.
  `CREATE FUNCTION ${s}.append_error(p_payload jsonb, p_attempt int, p_error text, p_at timestamptz, p_terminal boolean)
RETURNS jsonb LANGUAGE sql IMMUTABLE AS $awa$
  SELECT CASE WHEN p_error IS NULL THEN p_payload ELSE
    jsonb_set(coalesce(p_payload, '{}'), '{errors}',
      CASE WHEN jsonb_array_length(coalesce(p_payload->'errors', '[]')) >= 50
        THEN (p_payload->'errors') - 0 ELSE coalesce(p_payload->'errors', '[]') END
      || jsonb_build_object('attempt', p_attempt, 'error', p_error, 'at',
           to_char(p_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), 'terminal', p_terminal))
  END
$awa$`,

  /*
   * Everything but success. Outcomes: error, lost and timed_out (retried while attempts are left; lost: its process is gone), failed
   * (terminal), invalid (failed, the attempt does not count), cancelled, drained (cancelled before it ran: the attempt does not
   * count), snoozed and released (the attempt is given back; released work is available at once). A retry without a delay takes
   * retry_delay. What fails for good is a dead letter where its queue has them.
   * A job that would go on while another one holds its unique key (the states that hold a key do not let that happen; somebody
   * wrote to the tables) is cancelled instead.
   * Answers each item's new state, or busy (only without p_wait): somebody has locked its claim. An item that is not in the
   * answer was stale.
   */
  `CREATE FUNCTION ${s}.settle_attempts(
  p_lane_ids int[], p_claim_seqs bigint[], p_items smallint[], p_job_ids bigint[], p_run_leases int[],
  p_outcomes text[], p_errors text[], p_delays_ms double precision[], p_wait boolean DEFAULT true
) RETURNS TABLE (ord int, state text) LANGUAGE plpgsql
${PLAN_BY_INDEX} AS $awa$
#variable_conflict use_column
DECLARE
  v_lanes int[] := ${s}.lock_claims(p_lane_ids, p_claim_seqs, p_wait);
  v_now timestamptz := clock_timestamp();
  v_slot smallint := ${s}.current_slot('ready');
  v_done_slot smallint := ${s}.current_slot('done');
BEGIN
  RETURN QUERY
  WITH ended AS MATERIALIZED (
    SELECT o.ord, o.claim_slot, o.claimed_at, p_claim_seqs[o.ord] AS claim_seq, p_items[o.ord] AS item,
      p_outcomes[o.ord] AS outcome, p_run_leases[o.ord] AS lease, e.*,
      (SELECT c.job_id FROM ${s}.job_unique_claims c WHERE c.unique_key = e.unique_key AND c.job_id <> e.job_id) AS key_holder
    FROM ${s}.open_items(v_lanes, p_claim_seqs, p_items, p_job_ids, p_run_leases) o
    JOIN ${s}.ready_entries e ON e.job_id = p_job_ids[o.ord] AND e.run_lease = p_run_leases[o.ord] - 1
  ), decided AS MATERIALIZED (
    SELECT n.*, a.state AS next_state, a.dlq_reason, CASE WHEN n.key_holder IS NOT NULL AND a.state IN ('retryable', 'scheduled', 'available')
        THEN 'cancelled' ELSE coalesce(a.state, ${s}.unknown_outcome(n.outcome)) END AS state,
      CASE WHEN n.outcome IN ('snoozed', 'released', 'invalid', 'drained') THEN n.attempt ELSE n.attempt + 1 END AS attempt_after,
      v_now + coalesce(p_delays_ms[n.ord] * interval '1 millisecond', ${s}.retry_delay(n.attempt + 1)) AS due_at
    FROM ended n
    JOIN ${s}.queue_lanes l ON l.lane_id = n.lane_id
    JOIN ${s}.queues q ON q.name = l.queue
    CROSS JOIN LATERAL ${s}.state_after(n.outcome, n.attempt + 1, n.max_attempts, q.dead_letter_retention IS NOT NULL) a
  ), saved AS MATERIALIZED (
    SELECT t.job_id, t AS state FROM (SELECT array_agg(d.job_id) AS job_ids, array_agg(d.lease) AS leases FROM decided d) a
    CROSS JOIN LATERAL ${s}.end_attempt_states(a.job_ids, a.leases) t
  ), settled AS MATERIALIZED (
    SELECT d.*, ${s}.append_error(${s}.fold_attempt_state(d.payload, t.state), d.attempt + 1, CASE WHEN d.state <> d.next_state
      THEN concat_ws(E'\\n', format('cancelled: job %s holds its unique key', d.key_holder), p_errors[d.ord])
      ELSE p_errors[d.ord] END, v_now, d.state <> 'retryable') AS payload_after
    FROM decided d LEFT JOIN saved t ON t.job_id = d.job_id
  ), closed AS (
    INSERT INTO ${s}.lease_claim_closures (claim_seq, closed_at, lane_id, claim_slot, outcome, items)
    SELECT d.claim_seq, v_now, d.lane_id, d.claim_slot, d.state, array_agg(d.item ORDER BY d.item)
    FROM settled d GROUP BY d.claim_slot, d.lane_id, d.claim_seq, d.state
  ), deferred AS (
    INSERT INTO ${s}.deferred_jobs (job_id, run_at, created_at, lane_id, attempt, run_lease, max_attempts, state,
      kind, args, unique_key, payload)
    SELECT d.job_id, d.due_at, d.created_at, d.lane_id, d.attempt_after, d.lease, d.max_attempts, d.state,
      d.kind, d.args, d.unique_key, d.payload_after
    FROM settled d WHERE d.state IN ('retryable', 'scheduled')
  ), finished AS (
    INSERT INTO ${s}.done_entries (job_id, run_at, created_at, attempted_at, finalized_at, lane_id, attempt, run_lease,
      done_slot, max_attempts, state, kind, args, unique_key, payload)
    SELECT d.job_id, d.run_at, d.created_at, d.claimed_at, v_now, d.lane_id, d.attempt_after, d.lease,
      v_done_slot, d.max_attempts, d.state, d.kind, d.args, d.unique_key, d.payload_after
    FROM settled d WHERE d.state IN ('failed', 'cancelled') AND d.dlq_reason IS NULL
  ), dead AS (
    INSERT INTO ${s}.dlq_entries (job_id, run_at, created_at, attempted_at, finalized_at, dlq_at, lane_id, attempt, run_lease,
      max_attempts, reason, kind, args, unique_key, payload)
    SELECT d.job_id, d.run_at, d.created_at, d.claimed_at, v_now, v_now, d.lane_id, d.attempt_after, d.lease,
      d.max_attempts, d.dlq_reason, d.kind, d.args, d.unique_key, d.payload_after
    FROM settled d WHERE d.dlq_reason IS NOT NULL
  ), released AS (
    INSERT INTO ${s}.ready_entries (job_id, run_at, created_at, lane_id, attempt, run_lease, ready_slot, max_attempts,
      kind, args, unique_key, payload)
    SELECT d.job_id, d.run_at, d.created_at, d.lane_id, d.attempt_after, d.lease, v_slot, d.max_attempts,
      d.kind, d.args, d.unique_key, d.payload_after
    FROM settled d WHERE d.state = 'available'
  ), keys_ended AS MATERIALIZED (
    -- A dead letter has no slot that takes its key along.
    SELECT ${s}.end_unique_keys(array_agg(d.unique_key), array_agg(d.job_id), d.state,
      array_agg(CASE WHEN d.dlq_reason IS NULL THEN v_done_slot END))
    FROM settled d WHERE d.unique_key IS NOT NULL AND d.state IN ('failed', 'cancelled') GROUP BY d.state
  )
  SELECT d.ord, d.state FROM settled d
  -- Asks for the answer of the calls: unasked, they would not be made.
  WHERE (SELECT count(*) FROM keys_ended) >= 0;
  RETURN QUERY SELECT o, 'busy' FROM generate_subscripts(v_lanes, 1) AS o WHERE v_lanes[o] IS NULL;

  PERFORM pg_notify('${channel}', l.queue) FROM ${s}.queue_lanes l
  WHERE l.lane_id IN (SELECT p_lane_ids[o] FROM generate_subscripts(p_items, 1) AS o WHERE p_outcomes[o] = 'released');
  PERFORM pg_notify('${dueChannel(channel)}', '')
  WHERE (SELECT min(d) FROM unnest(p_delays_ms) AS d) * interval '1 millisecond' < ${DUE_SOON};
END $awa$`,
];
