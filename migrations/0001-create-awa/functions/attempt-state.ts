import { OWN_NAMES, PLAN_BY_INDEX } from './plan-settings.js';

/**
 * What an attempt has saved: its progress, and a checkpoint for the attempt after it. An attempt has a row from its first save
 * on, and only while it is open: whoever saves and whoever closes lock the attempt's claim first, and look again under the lock.
 * So a save that comes after the closure is refused, and one that came before it is seen by whoever closes.
 *
 * A success drops the row. Every other end folds it into the payload of the job's next row, with which it goes wherever the job
 * goes, and so to the next attempt.
 *
 * Locks: claim rows, then rows of attempt_state, which only the holder of the claim touches.
 */
export const attemptState = (s: string): string[] => [
  /*
   * Saves, each attempt once: what is NULL stays as it was saved before. Answers the ordinals that were not saved: stale, the
   * attempt is over; busy, somebody has locked its claim, and it may be tried again. A save never waits: a cancel keeps its locks
   * until its caller commits, and claims and heartbeats of the process would wait in line behind the save.
   *
   * A statement whose connection broke may run later than the one that repeats it: what is older than the row changes nothing.
   */
  `CREATE FUNCTION ${s}.save_attempt_states(
  p_lane_ids int[], p_claim_seqs bigint[], p_items smallint[], p_job_ids bigint[], p_run_leases int[],
  p_revisions int[], p_progress double precision[], p_messages text[], p_checkpoints text[]
) RETURNS TABLE (ord int, refusal text) LANGUAGE plpgsql
${PLAN_BY_INDEX} AS $awa$
#variable_conflict use_column
DECLARE
  v_now timestamptz := clock_timestamp();
  v_lanes int[] := ${s}.lock_claims(p_lane_ids, p_claim_seqs, false);
  v_open int[];
BEGIN
  WITH open AS MATERIALIZED (
    SELECT o.ord FROM ${s}.open_items(v_lanes, p_claim_seqs, p_items, p_job_ids, p_run_leases) o
  ), saved AS (
    INSERT INTO ${s}.attempt_state AS t (job_id, run_lease, revision, progress, message, progress_at, checkpoint)
    SELECT p_job_ids[o.ord], p_run_leases[o.ord], p_revisions[o.ord], p_progress[o.ord], p_messages[o.ord],
      CASE WHEN p_progress[o.ord] IS NOT NULL THEN v_now END, p_checkpoints[o.ord]::jsonb
    FROM open o
    ON CONFLICT (job_id, run_lease) DO UPDATE SET revision = excluded.revision,
      progress = coalesce(excluded.progress, t.progress),
      message = CASE WHEN excluded.progress IS NULL THEN t.message ELSE excluded.message END,
      progress_at = coalesce(excluded.progress_at, t.progress_at),
      checkpoint = coalesce(excluded.checkpoint, t.checkpoint)
    WHERE t.revision < excluded.revision
  )
  SELECT coalesce(array_agg(o.ord), '{}') INTO v_open FROM open o;

  RETURN QUERY SELECT o, CASE WHEN v_lanes[o] IS NULL THEN 'busy' ELSE 'stale' END
  FROM generate_subscripts(p_items, 1) AS o WHERE o <> ALL (v_open);
END $awa$`,

  /*
   * For whoever closes attempts, and holds their claims: takes away what they had saved. In plpgsql, so that the DELETE sees
   * what was committed while the caller waited for the claims; the caller's own statement does not.
   */
  `CREATE FUNCTION ${s}.end_attempt_states(p_job_ids bigint[], p_run_leases int[])
RETURNS SETOF ${s}.attempt_state LANGUAGE plpgsql
${PLAN_BY_INDEX} AS $awa$
BEGIN
  RETURN QUERY DELETE FROM ${s}.attempt_state t USING unnest(p_job_ids, p_run_leases) AS a(job_id, run_lease)
  WHERE t.job_id = a.job_id AND t.run_lease = a.run_lease RETURNING t.*;
END $awa$`,

  // A payload with what an attempt had saved; without a state, or with an empty one, the payload itself.
  `CREATE FUNCTION ${s}.fold_attempt_state(p_payload jsonb, p_state ${s}.attempt_state)
RETURNS jsonb LANGUAGE plpgsql IMMUTABLE
${OWN_NAMES} AS $awa$
BEGIN
  IF p_state.progress IS NOT NULL THEN
    p_payload := coalesce(p_payload, '{}') || jsonb_build_object('progress', jsonb_build_object(
      'percent', p_state.progress, 'message', p_state.message,
      'updatedAt', to_char(p_state.progress_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')));
  END IF;
  IF p_state.checkpoint IS NOT NULL THEN
    p_payload := coalesce(p_payload, '{}') || jsonb_build_object('checkpoint', p_state.checkpoint);
  END IF;
  RETURN p_payload;
END $awa$`,

  // For readers: the payload as it is now, with what the attempt that runs has saved so far.
  `CREATE FUNCTION ${s}.payload_now(p_payload jsonb, p_state text, p_job_id bigint, p_run_lease int)
RETURNS jsonb LANGUAGE sql STABLE AS $awa$
  SELECT CASE WHEN p_state <> 'running' THEN p_payload ELSE coalesce((
    SELECT ${s}.fold_attempt_state(p_payload, t) FROM ${s}.attempt_state t WHERE t.job_id = p_job_id AND t.run_lease = p_run_lease
  ), p_payload) END
$awa$`,
];
