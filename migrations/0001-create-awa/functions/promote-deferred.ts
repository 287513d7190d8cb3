import { PLAN_BY_INDEX } from './plan-settings.js';

/**
 * A job that is put off for less is announced to the leader, which looks only so often by itself (promotion.task.ts).
 * Longer ones it sees coming.
 */
export const DUE_SOON = "interval '2 seconds'";

/** Where they are announced. */
export const dueChannel = (channel: string): string => `${channel}_due`;

/**
 * promote_deferred: moves due jobs to the ready plane, oldest first, at most p_limit.
 *
 * Any number of processes may call it at once: rows are taken FOR UPDATE SKIP LOCKED, through the (run_at, job_id) index.
 * A job whose unique key another one holds (somebody wrote to the tables) is cancelled instead.
 * Answers how many moved, and when the next one is due (NULL: nothing waits).
 *
 * p_since bounds the look from below: under a held-back vacuum horizon the index keeps an entry for every job that was ever
 * promoted, and a look from the beginning would walk over them all. The caller looks from the beginning now and then (NULL),
 * for a job that was due before it was committed.
 */
export const promoteDeferred = (s: string, channel: string): string[] => [
  `CREATE FUNCTION ${s}.promote_deferred(p_limit int, p_since timestamptz) RETURNS TABLE (promoted int, next_run_at timestamptz) LANGUAGE plpgsql
${PLAN_BY_INDEX} AS $awa$
#variable_conflict use_column
DECLARE
  v_now timestamptz := clock_timestamp();
  v_slot smallint := ${s}.current_slot('ready');
  v_since timestamptz := coalesce(p_since, '-infinity');
  v_lanes int[];
BEGIN
  -- An idle look takes no lock and writes nothing.
  next_run_at := (SELECT d.run_at FROM ${s}.deferred_jobs d WHERE d.run_at >= v_since ORDER BY d.run_at LIMIT 1);
  promoted := 0;
  IF next_run_at > v_now OR next_run_at IS NULL THEN
    RETURN NEXT;
    RETURN;
  END IF;

  WITH due AS MATERIALIZED (
    SELECT d.job_id FROM ${s}.deferred_jobs d WHERE d.run_at >= v_since AND d.run_at <= v_now ORDER BY d.run_at, d.job_id
    LIMIT p_limit FOR UPDATE SKIP LOCKED
  ), moved AS MATERIALIZED (
    DELETE FROM ${s}.deferred_jobs d USING due WHERE d.job_id = due.job_id RETURNING d.*,
      (SELECT c.job_id FROM ${s}.job_unique_claims c WHERE c.unique_key = d.unique_key AND c.job_id <> d.job_id) AS key_holder
  ), ready AS (
    INSERT INTO ${s}.ready_entries (job_id, run_at, created_at, lane_id, attempt, run_lease, ready_slot, max_attempts,
      kind, args, unique_key, payload)
    SELECT m.job_id, m.run_at, m.created_at, m.lane_id, m.attempt, m.run_lease, v_slot, m.max_attempts,
      m.kind, m.args, m.unique_key, m.payload
    FROM moved m WHERE m.key_holder IS NULL ORDER BY m.run_at, m.job_id
  ), cancelled AS (
    INSERT INTO ${s}.done_entries (job_id, run_at, created_at, finalized_at, lane_id, attempt, run_lease,
      done_slot, max_attempts, state, kind, args, unique_key, payload)
    SELECT m.job_id, m.run_at, m.created_at, v_now, m.lane_id, m.attempt, m.run_lease,
      ${s}.current_slot('done'), m.max_attempts, 'cancelled', m.kind, m.args, m.unique_key,
      ${s}.append_error(m.payload, m.attempt, format('cancelled: job %s holds its unique key', m.key_holder), v_now, true)
    FROM moved m WHERE m.key_holder IS NOT NULL
  )
  SELECT count(*)::int, array_agg(DISTINCT m.lane_id) INTO promoted, v_lanes FROM moved m;

  PERFORM pg_notify('${channel}', q.queue)
  FROM (SELECT DISTINCT l.queue FROM ${s}.queue_lanes l WHERE l.lane_id = ANY (v_lanes)) q;

  next_run_at := (SELECT d.run_at FROM ${s}.deferred_jobs d WHERE d.run_at >= v_since ORDER BY d.run_at LIMIT 1);
  RETURN NEXT;
END $awa$`,
];
