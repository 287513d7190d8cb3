import { PLAN_BY_INDEX } from './plan-settings.js';

/** What is left of jobs that never ran in the end. Of rows of the jobs; in a function with p_reason, v_now and v_done_slot. */
const insertCancelled = (s: string, rows: string): string =>
  `INSERT INTO ${s}.done_entries (job_id, run_at, created_at, finalized_at, lane_id, attempt, run_lease, done_slot,
      max_attempts, state, kind, args, unique_key, payload)
    SELECT r.job_id, r.run_at, r.created_at, v_now, r.lane_id, r.attempt, r.run_lease, v_done_slot,
      r.max_attempts, 'cancelled', r.kind, r.args, r.unique_key, ${s}.append_error(r.payload, r.attempt, p_reason, v_now, true)
    FROM ${rows} r`;

/** Their unique keys: of v_done, v_keys. */
const endKeysOfCancelled = (s: string): string =>
  `PERFORM ${s}.end_unique_keys(v_keys, v_done, 'cancelled', array_fill(v_done_slot, ARRAY[cardinality(v_done)]))
    WHERE array_remove(v_keys, NULL) <> '{}';`;

/**
 * cancel_jobs: ends jobs that have not ended, in the caller's transaction. A job that waits gets a tombstone, so that no claim
 * takes it; one that waits for a time is deleted from there; the attempt of one that runs is closed, so that its result will
 * be stale, and its process is told. Answers each id with cancelled, finished or not_found.
 *
 * A job may move while this looks (promoted, claimed, put back): what has moved is looked up again.
 *
 * Locks, in this order: the deferred rows, by job_id; the claim heads of the lanes in which jobs wait, by lane_id (under them a
 * job is either unclaimed or claimed, for good); the claims of those that run. They are kept until the caller's commit, and
 * while a claim head is kept nobody claims from its lane.
 */
export const cancelJobs = (s: string, channel: string): string[] => [
  // Cancels those of the jobs that wait for a time. The caller has locked their rows. Answers which they were.
  `CREATE FUNCTION ${s}.cancel_deferred(p_job_ids bigint[], p_reason text) RETURNS bigint[] LANGUAGE plpgsql
${PLAN_BY_INDEX} AS $awa$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_done_slot smallint := ${s}.current_slot('done');
  v_done bigint[];
  v_keys bytea[];
BEGIN
  WITH taken AS MATERIALIZED (
    DELETE FROM ${s}.deferred_jobs d WHERE d.job_id = ANY (p_job_ids) RETURNING d.*
  ), finished AS (
    ${insertCancelled(s, 'taken')}
  )
  SELECT coalesce(array_agg(t.job_id), '{}'), array_agg(t.unique_key) INTO v_done, v_keys FROM taken t;
  ${endKeysOfCancelled(s)}
  RETURN v_done;
END $awa$`,

  `CREATE FUNCTION ${s}.cancel_jobs(p_job_ids bigint[], p_reason text)
RETURNS TABLE (job_id bigint, result text, was_running boolean) LANGUAGE plpgsql
${PLAN_BY_INDEX} AS $awa$
#variable_conflict use_column
DECLARE
  v_now timestamptz := clock_timestamp();
  v_left bigint[] := ARRAY(SELECT DISTINCT i FROM unnest(p_job_ids) AS i ORDER BY i);
  v_done bigint[];
  v_keys bytea[];
  v_done_slot smallint := ${s}.current_slot('done');
  v_running record;
BEGIN
  FOR v_round IN 1..20 LOOP
    -- Waiting for a time.
    PERFORM FROM ${s}.deferred_jobs d WHERE d.job_id = ANY (v_left) ORDER BY d.job_id FOR UPDATE;
    v_done := ${s}.cancel_deferred(v_left, p_reason);
    RETURN QUERY SELECT i, 'cancelled', false FROM unnest(v_done) AS i;
    v_left := ARRAY(SELECT i FROM unnest(v_left) AS i WHERE i <> ALL (coalesce(v_done, '{}')) ORDER BY i);

    -- Waiting for a claim.
    PERFORM FROM ${s}.queue_claim_heads h WHERE h.lane_id IN (
      SELECT j.lane_id FROM unnest(v_left) AS i CROSS JOIN LATERAL ${s}.live_ready(i) j WHERE j.state = 'available'
    ) ORDER BY h.lane_id FOR UPDATE;
    WITH waiting AS MATERIALIZED (
      SELECT j.* FROM unnest(v_left) AS i CROSS JOIN LATERAL ${s}.live_ready(i) j
      JOIN ${s}.queue_claim_heads h ON h.lane_id = j.lane_id
      WHERE j.state = 'available'
    ), buried AS (
      INSERT INTO ${s}.ready_tombstones (job_id, lane_id, run_lease, ready_slot)
      SELECT w.job_id, w.lane_id, w.run_lease, w.ready_slot FROM waiting w
    ), finished AS (
      ${insertCancelled(s, 'waiting')}
    )
    SELECT array_agg(w.job_id), array_agg(w.unique_key) INTO v_done, v_keys FROM waiting w;
    ${endKeysOfCancelled(s)}
    RETURN QUERY SELECT i, 'cancelled', false FROM unnest(v_done) AS i;
    v_left := ARRAY(SELECT i FROM unnest(v_left) AS i WHERE i <> ALL (coalesce(v_done, '{}')) ORDER BY i);

    -- Running.
    SELECT array_agg(j.job_id) AS job_ids, array_agg(j.lane_id) AS lane_ids, array_agg(j.claim_seq) AS claim_seqs,
      array_agg(j.item) AS items, array_agg(j.run_lease + 1) AS run_leases, count(*)::int AS jobs
    INTO v_running
    FROM unnest(v_left) AS i CROSS JOIN LATERAL ${s}.live_ready(i) j WHERE j.state = 'running';
    IF v_running.jobs > 0 THEN
      SELECT array_agg(v_running.job_ids[t.ord]) INTO v_done
      FROM ${s}.settle_attempts(v_running.lane_ids, v_running.claim_seqs, v_running.items, v_running.job_ids, v_running.run_leases,
        array_fill('cancelled'::text, ARRAY[v_running.jobs]), array_fill(p_reason, ARRAY[v_running.jobs]),
        array_fill(0::double precision, ARRAY[v_running.jobs])) t;
      PERFORM pg_notify('${channel}_cancel', r.job_id || ':' || r.run_lease)
      FROM unnest(v_running.job_ids, v_running.run_leases) AS r(job_id, run_lease) WHERE r.job_id = ANY (v_done);
      RETURN QUERY SELECT i, 'cancelled', true FROM unnest(v_done) AS i;
      v_left := ARRAY(SELECT i FROM unnest(v_left) AS i WHERE i <> ALL (coalesce(v_done, '{}')) ORDER BY i);
    END IF;

    -- Ended, or not there.
    WITH ended AS MATERIALIZED (
      SELECT i, r.state FROM unnest(v_left) AS i LEFT JOIN LATERAL ${s}.read_job(i) r ON true
      WHERE r.state IS NULL OR r.state IN ('completed', 'failed', 'cancelled')
    )
    SELECT array_agg(e.i) INTO v_done FROM ended e;
    RETURN QUERY SELECT i, CASE WHEN r.state IS NULL THEN 'not_found' ELSE 'finished' END, false
      FROM unnest(v_done) AS i LEFT JOIN LATERAL ${s}.read_job(i) r ON true;
    v_left := ARRAY(SELECT i FROM unnest(v_left) AS i WHERE i <> ALL (coalesce(v_done, '{}')) ORDER BY i);
    EXIT WHEN cardinality(v_left) = 0;
  END LOOP;
  IF cardinality(v_left) > 0 THEN
    RAISE EXCEPTION 'jobs % keep moving and could not be cancelled: try again', v_left USING ERRCODE = 'AW005';
  END IF;
END $awa$`,
];
