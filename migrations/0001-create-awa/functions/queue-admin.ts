import { OWN_NAMES, PLAN_BY_INDEX } from './plan-settings.js';

/**
 * Pausing, resuming and draining a queue. A pause is a column of the queue's row, which each claim reads at its beginning: a claim
 * under way goes through, the next finds nothing. Functions answer false or NULL for a queue that does not exist.
 *
 * Locks: the queues row; draining takes the lane locks as any claim does.
 */
export const queueAdmin = (s: string, channel: string): string[] => [
  // Pausing what is paused keeps the time and takes the newer reason and author.
  `CREATE FUNCTION ${s}.pause_queue(p_queue text, p_reason text, p_by text) RETURNS boolean LANGUAGE plpgsql
${OWN_NAMES} AS $awa$
BEGIN
  UPDATE ${s}.queues q SET paused_at = coalesce(q.paused_at, clock_timestamp()), pause_reason = p_reason, paused_by = p_by
  WHERE q.name = p_queue;
  RETURN FOUND;
END $awa$`,

  `CREATE FUNCTION ${s}.resume_queue(p_queue text) RETURNS boolean LANGUAGE plpgsql
${OWN_NAMES} AS $awa$
BEGIN
  UPDATE ${s}.queues q SET paused_at = NULL, pause_reason = NULL, paused_by = NULL WHERE q.name = p_queue;
  PERFORM pg_notify('${channel}', p_queue) WHERE FOUND;
  RETURN FOUND;
END $awa$`,

  /*
   * Cancels jobs that wait to be claimed, at most p_limit of a lane: claims them and closes the attempts in one transaction, so
   * that the cursors go on and nothing is left behind by a crash. Works on paused queues too. The instance is
   * registered by the caller: a claim must not be preceded by a write.
   */
  `CREATE FUNCTION ${s}.drain_ready(p_instance_id uuid, p_queue text, p_reason text, p_limit int,
  OUT cancelled int, OUT oldest_created_at timestamptz) LANGUAGE plpgsql
${OWN_NAMES} AS $awa$
DECLARE
  v_taken record;
BEGIN
  SELECT count(*)::int AS jobs, min(c.created_at) AS oldest, array_agg(c.lane_id) AS lane_ids, array_agg(c.claim_seq) AS claim_seqs,
    array_agg(c.item) AS items, array_agg(c.job_id) AS job_ids, array_agg(c.run_lease) AS run_leases
  INTO v_taken FROM ${s}.claim_jobs(p_instance_id, ARRAY[p_queue], ARRAY[p_limit], true) c;
  cancelled := v_taken.jobs;
  oldest_created_at := v_taken.oldest;
  IF cancelled > 0 THEN
    PERFORM FROM ${s}.settle_attempts(v_taken.lane_ids, v_taken.claim_seqs, v_taken.items, v_taken.job_ids, v_taken.run_leases,
      array_fill('drained'::text, ARRAY[cancelled]), array_fill(p_reason, ARRAY[cancelled]),
      array_fill(0::double precision, ARRAY[cancelled]));
  END IF;
END $awa$`,

  // Cancels jobs that wait for a time, at most p_limit: scheduled, snoozed and retryable ones.
  `CREATE FUNCTION ${s}.drain_deferred(p_queue text, p_reason text, p_limit int) RETURNS int LANGUAGE plpgsql
${PLAN_BY_INDEX} AS $awa$
BEGIN
  RETURN cardinality(${s}.cancel_deferred(ARRAY(
    SELECT d.job_id FROM ${s}.deferred_jobs d
    WHERE d.lane_id IN (SELECT l.lane_id FROM ${s}.queue_lanes l WHERE l.queue = p_queue)
    LIMIT p_limit FOR UPDATE SKIP LOCKED), p_reason));
END $awa$`,
];
