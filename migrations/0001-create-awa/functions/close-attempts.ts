import { PLAN_BY_INDEX } from './plan-settings.js';

/**
 * Closing attempts. An attempt is an item of a claim, and it is open until a closure names it: the first closure wins,
 * whoever comes later is stale. Every writer about an attempt goes through lock_open_items.
 *
 * Locks: the claim rows touched, FOR UPDATE, in (lane_id, claim_seq) order. A lock writes no new row version.
 */
export const closeAttempts = (s: string, channel: string): string[] => [
  // Locks the claims and answers which of the items (by ordinal) are still open for this (job_id, run_lease).
  `CREATE FUNCTION ${s}.lock_open_items(
  p_claim_slots smallint[], p_lane_ids int[], p_claim_seqs bigint[], p_items smallint[], p_job_ids bigint[], p_run_leases int[]
) RETURNS SETOF int LANGUAGE plpgsql
${PLAN_BY_INDEX} AS $awa$
BEGIN
  PERFORM FROM ${s}.lease_claims c
  JOIN (SELECT DISTINCT * FROM unnest(p_claim_slots, p_lane_ids, p_claim_seqs)) AS k(claim_slot, lane_id, claim_seq)
    ON c.claim_slot = k.claim_slot AND c.lane_id = k.lane_id AND c.claim_seq = k.claim_seq
  ORDER BY c.lane_id, c.claim_seq
  FOR UPDATE OF c;

  -- A new statement: it sees the closures of whoever held the locks before.
  RETURN QUERY
  WITH claims AS MATERIALIZED (
    SELECT c.claim_slot, c.lane_id, c.claim_seq, c.job_ids, c.run_leases, ARRAY(
      SELECT unnest(x.items) FROM ${s}.lease_claim_closures x
      WHERE x.claim_slot = c.claim_slot AND x.lane_id = c.lane_id AND x.claim_seq = c.claim_seq
    ) AS closed_items
    FROM (SELECT DISTINCT * FROM unnest(p_claim_slots, p_lane_ids, p_claim_seqs)) AS k(claim_slot, lane_id, claim_seq)
    JOIN ${s}.lease_claims c
      ON c.claim_slot = k.claim_slot AND c.lane_id = k.lane_id AND c.claim_seq = k.claim_seq
  )
  SELECT min(i.ord)::int
  FROM unnest(p_claim_slots, p_lane_ids, p_claim_seqs, p_items, p_job_ids, p_run_leases)
    WITH ORDINALITY AS i(claim_slot, lane_id, claim_seq, item, job_id, run_lease, ord)
  JOIN claims c ON c.claim_slot = i.claim_slot AND c.lane_id = i.lane_id AND c.claim_seq = i.claim_seq
  WHERE c.job_ids[i.item] = i.job_id AND c.run_leases[i.item] = i.run_lease AND i.item <> ALL (c.closed_items)
  GROUP BY i.lane_id, i.claim_seq, i.item;
END $awa$`,

  // Records successes: one closure a claim, one completion batch a lane and ready slot. Returns the ordinals that were stale.
  `CREATE FUNCTION ${s}.complete_attempts(
  p_claim_slots smallint[], p_lane_ids int[], p_claim_seqs bigint[], p_items smallint[], p_job_ids bigint[], p_run_leases int[],
  p_ready_slots smallint[]
) RETURNS SETOF int LANGUAGE plpgsql
${PLAN_BY_INDEX} AS $awa$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_open int[] := ARRAY(SELECT ${s}.lock_open_items(p_claim_slots, p_lane_ids, p_claim_seqs, p_items, p_job_ids, p_run_leases));
BEGIN
  WITH done AS MATERIALIZED (
    SELECT p_claim_slots[o] AS claim_slot, p_lane_ids[o] AS lane_id, p_claim_seqs[o] AS claim_seq, p_items[o] AS item,
      p_job_ids[o] AS job_id, p_ready_slots[o] AS ready_slot
    FROM unnest(v_open) AS o
  ), closed AS (
    INSERT INTO ${s}.lease_claim_closures (claim_seq, closed_at, lane_id, claim_slot, outcome, items)
    SELECT d.claim_seq, v_now, d.lane_id, d.claim_slot, 'completed', array_agg(d.item ORDER BY d.item)
    FROM done d GROUP BY d.claim_slot, d.lane_id, d.claim_seq
  )
  INSERT INTO ${s}.completion_batches (completed_at, lane_id, ready_slot, job_ids)
  SELECT v_now, d.lane_id, d.ready_slot, array_agg(d.job_id ORDER BY d.job_id)
  FROM done d GROUP BY d.lane_id, d.ready_slot;

  RETURN QUERY SELECT o FROM generate_subscripts(p_items, 1) AS o WHERE o <> ALL (v_open);
END $awa$`,

  `CREATE FUNCTION ${s}.retry_delay(p_attempt int) RETURNS interval LANGUAGE sql VOLATILE AS $awa$
  SELECT least(power(2, least(p_attempt, 30)) * (1 + random() * 0.25), 86400) * interval '1 second'
$awa$`,

  // The one place that decides what becomes of an attempt that did not succeed, whoever reports it.
  `CREATE FUNCTION ${s}.state_after(p_outcome text, p_attempt int, p_max_attempts int) RETURNS text LANGUAGE sql IMMUTABLE AS $awa$
  SELECT CASE p_outcome
    WHEN 'error' THEN CASE WHEN p_attempt < p_max_attempts THEN 'retryable' ELSE 'failed' END
    WHEN 'failed' THEN 'failed'
    WHEN 'invalid' THEN 'failed'
    WHEN 'cancelled' THEN 'cancelled'
    WHEN 'snoozed' THEN 'scheduled'
    WHEN 'released' THEN 'available'
  END
$awa$`,

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
   * Everything but success. Outcomes: error (retried while attempts are left), failed (terminal), invalid (failed, the
   * attempt does not count), cancelled, snoozed and released (the attempt is given back; released work is available at once). A retry without a delay takes retry_delay.
   * Answers each item's new state; an item that is not in the answer was stale.
   */
  `CREATE FUNCTION ${s}.settle_attempts(
  p_claim_slots smallint[], p_lane_ids int[], p_claim_seqs bigint[], p_items smallint[], p_job_ids bigint[], p_run_leases int[],
  p_outcomes text[], p_errors text[], p_delays_ms double precision[]
) RETURNS TABLE (ord int, state text) LANGUAGE plpgsql
${PLAN_BY_INDEX} AS $awa$
#variable_conflict use_column
DECLARE
  v_now timestamptz := clock_timestamp();
  v_open int[] := ARRAY(SELECT ${s}.lock_open_items(p_claim_slots, p_lane_ids, p_claim_seqs, p_items, p_job_ids, p_run_leases));
  v_slot smallint := (SELECT r.slot FROM ${s}.ready_ring_rotations r ORDER BY r.generation DESC LIMIT 1);
BEGIN
  RETURN QUERY
  WITH ended AS MATERIALIZED (
    SELECT o AS ord, p_claim_slots[o] AS claim_slot, p_claim_seqs[o] AS claim_seq, p_items[o] AS item,
      p_outcomes[o] AS outcome, p_run_leases[o] AS lease, e.*
    FROM unnest(v_open) AS o
    JOIN ${s}.ready_entries e ON e.job_id = p_job_ids[o] AND e.run_lease = p_run_leases[o] - 1
  ), decided AS MATERIALIZED (
    SELECT n.*, ${s}.state_after(n.outcome, n.attempt + 1, n.max_attempts) AS state,
      CASE WHEN n.outcome IN ('snoozed', 'released', 'invalid') THEN n.attempt ELSE n.attempt + 1 END AS attempt_after,
      v_now + coalesce(p_delays_ms[n.ord] * interval '1 millisecond', ${s}.retry_delay(n.attempt + 1)) AS due_at
    FROM ended n
  ), settled AS MATERIALIZED (
    SELECT d.*, ${s}.append_error(d.payload, d.attempt + 1, p_errors[d.ord], v_now, d.state <> 'retryable') AS payload_after
    FROM decided d WHERE d.state IS NOT NULL
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
    INSERT INTO ${s}.done_entries (job_id, run_at, created_at, finalized_at, lane_id, attempt, run_lease, max_attempts,
      state, kind, args, unique_key, payload)
    SELECT d.job_id, d.run_at, d.created_at, v_now, d.lane_id, d.attempt_after, d.lease, d.max_attempts,
      d.state, d.kind, d.args, d.unique_key, d.payload_after
    FROM settled d WHERE d.state IN ('failed', 'cancelled')
  ), released AS (
    INSERT INTO ${s}.ready_entries (job_id, run_at, created_at, lane_id, attempt, run_lease, ready_slot, max_attempts,
      kind, args, unique_key, payload)
    SELECT d.job_id, d.run_at, d.created_at, d.lane_id, d.attempt_after, d.lease, v_slot, d.max_attempts,
      d.kind, d.args, d.unique_key, d.payload_after
    FROM settled d WHERE d.state = 'available'
  )
  SELECT d.ord, d.state FROM settled d;

  PERFORM pg_notify('${channel}', l.queue) FROM ${s}.queue_lanes l
  WHERE l.lane_id IN (SELECT p_lane_ids[o] FROM unnest(v_open) AS o WHERE p_outcomes[o] = 'released');
END $awa$`,
];
