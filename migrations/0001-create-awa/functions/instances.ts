import { OWN_NAMES } from './plan-settings.js';

/**
 * Processes and what they hold. A process proves that it lives by its heartbeat; the attempts of one that does not are
 * taken from it. All times are the database's.
 */
export const instances = (s: string): string[] => [
  // Lanes are made here, ahead of the first job, so that no enqueuing transaction ever makes (and waits for) one.
  // A setting that is NULL stays as it is stored; a retention of 0 turns a queue's dead letters off. Rows are locked in the order of the names.
  `CREATE FUNCTION ${s}.register_queues(
  p_queues text[], p_agings_ms int[] DEFAULT NULL, p_shards int[] DEFAULT NULL, p_max_claimers int[] DEFAULT NULL,
  p_dead_letter_ms double precision[] DEFAULT NULL
) RETURNS void LANGUAGE plpgsql
${OWN_NAMES} AS $awa$
DECLARE
  v_given record;
BEGIN
  INSERT INTO ${s}.queues (name) SELECT DISTINCT q FROM unnest(p_queues) AS q ORDER BY q ON CONFLICT DO NOTHING;
  INSERT INTO ${s}.queue_claimer_state (queue) SELECT DISTINCT q FROM unnest(p_queues) AS q ORDER BY q ON CONFLICT DO NOTHING;
  -- Shards that a smaller number leaves out keep their lanes: what is in them is claimed as ever.
  INSERT INTO ${s}.queue_lanes (queue, priority, shard)
  SELECT DISTINCT g.name, p, n
  FROM unnest(p_queues, p_shards) AS g(name, shards)
  CROSS JOIN LATERAL generate_series(0, coalesce(g.shards, 1) - 1) AS n CROSS JOIN generate_series(1, 4) AS p
  WHERE NOT EXISTS (SELECT FROM ${s}.queue_lanes l WHERE l.queue = g.name AND l.priority = p AND l.shard = n)
  ORDER BY 1, 3, 2 ON CONFLICT DO NOTHING;
  INSERT INTO ${s}.queue_claim_heads (lane_id)
  SELECT l.lane_id FROM ${s}.queue_lanes l WHERE l.queue = ANY (p_queues)
    AND NOT EXISTS (SELECT FROM ${s}.queue_claim_heads h WHERE h.lane_id = l.lane_id)
  ORDER BY l.lane_id ON CONFLICT DO NOTHING;

  FOR v_given IN
    SELECT g.*, nullif(g.dead_letter_ms, 0) * interval '1 millisecond' AS retention
    FROM unnest(p_queues, p_agings_ms, p_shards, p_max_claimers, p_dead_letter_ms)
      AS g(name, aging_ms, shards, max_claimers, dead_letter_ms) ORDER BY g.name
  LOOP
    UPDATE ${s}.queues q SET aging_ms = coalesce(v_given.aging_ms, q.aging_ms), shards = coalesce(v_given.shards, q.shards),
      max_claimers = coalesce(v_given.max_claimers, q.max_claimers),
      dead_letter_retention = CASE WHEN v_given.dead_letter_ms IS NULL THEN q.dead_letter_retention ELSE v_given.retention END
    WHERE q.name = v_given.name
      AND (v_given.aging_ms <> q.aging_ms OR v_given.shards <> q.shards OR v_given.max_claimers <> q.max_claimers
        OR (v_given.dead_letter_ms IS NOT NULL AND v_given.retention IS DISTINCT FROM q.dead_letter_retention));
  END LOOP;
END $awa$`,

  // False: this instance was declared lost; it must stop what it runs and register anew.
  `CREATE FUNCTION ${s}.heartbeat(p_instance_id uuid) RETURNS boolean LANGUAGE plpgsql
${OWN_NAMES} AS $awa$
BEGIN
  UPDATE ${s}.runtime_instances SET heartbeat_at = clock_timestamp() WHERE instance_id = p_instance_id;
  RETURN FOUND;
END $awa$`,

  /*
   * Ends open attempts: those of one instance, except in the claims it knows, or, without an instance, those whose instance is
   * not registered. Takes p_limit claims after the given one, in the order of their keys, and answers the last of them; none:
   * that was all. Claims are locked, except those that somebody is closing. What is retried is due at once: the time until the
   * instance was missed was back-off enough. Reads the claim ring, which holds little more than what is open.
   */
  `CREATE FUNCTION ${s}.take_over_attempts(p_instance_id uuid, p_known_lanes int[], p_known_seqs bigint[], p_outcome text,
  p_error text, p_limit int, p_after_lane int DEFAULT 0, p_after_seq bigint DEFAULT 0,
  OUT attempts int, OUT refused text[], OUT last_lane int, OUT last_seq bigint, OUT ended json
) LANGUAGE plpgsql
${OWN_NAMES} AS $awa$
#variable_conflict use_column
DECLARE
  v_open record;
  v_ended bigint[];
BEGIN
  WITH held AS MATERIALIZED (
    SELECT c.lane_id, c.claim_seq, c.job_ids, c.run_leases
    FROM ${s}.lease_claims c
    WHERE CASE WHEN p_instance_id IS NULL
        THEN NOT EXISTS (SELECT FROM ${s}.runtime_instances i WHERE i.instance_id = c.instance_id)
        ELSE c.instance_id = p_instance_id
          AND (c.lane_id, c.claim_seq) NOT IN (SELECT * FROM unnest(p_known_lanes, p_known_seqs)) END
      AND (c.lane_id, c.claim_seq) > (p_after_lane, p_after_seq)
      AND cardinality(c.job_ids) > (
        SELECT coalesce(sum(cardinality(x.items)), 0) FROM ${s}.lease_claim_closures x
        WHERE x.lane_id = c.lane_id AND x.claim_seq = c.claim_seq)
    ORDER BY c.lane_id, c.claim_seq
    LIMIT p_limit
    FOR UPDATE OF c SKIP LOCKED
  )
  SELECT array_agg(h.lane_id) AS lane_ids, array_agg(h.claim_seq) AS claim_seqs, array_agg(h.item) AS items,
    array_agg(h.job_id) AS job_ids, array_agg(h.run_lease) AS run_leases, count(*)::int AS items_taken
  INTO v_open
  FROM (
    SELECT c.lane_id, c.claim_seq, i.item::smallint AS item, i.job_id, i.run_lease
    FROM held c CROSS JOIN LATERAL unnest(c.job_ids, c.run_leases) WITH ORDINALITY AS i(job_id, run_lease, item)
    ORDER BY c.lane_id, c.claim_seq, i.item
  ) h;

  attempts := 0;
  refused := '{}';
  IF v_open.items_taken = 0 THEN
    RETURN;
  END IF;
  SELECT t.settled, t.refused, t.ended INTO attempts, refused, v_ended FROM ${s}.settle_taken(
    v_open.lane_ids, v_open.claim_seqs, v_open.items, v_open.job_ids, v_open.run_leases,
    p_outcome, array_fill(p_error, ARRAY[v_open.items_taken]), 0) t;
  last_lane := v_open.lane_ids[v_open.items_taken];
  last_seq := v_open.claim_seqs[v_open.items_taken];
  IF p_instance_id IS NULL THEN
    ended := (
      SELECT json_agg(json_build_object('jobId', e.job_id::text, 'kind', e.kind, 'queue', l.queue, 'attempt', e.attempt + 1,
        'maxAttempts', e.max_attempts, 'runLease', i.run_lease, 'error', p_error,
        'state', CASE WHEN EXISTS (SELECT FROM ${s}.deferred_jobs d WHERE d.job_id = e.job_id) THEN 'retryable' ELSE 'failed' END))
      FROM unnest(v_open.job_ids, v_open.run_leases) AS i(job_id, run_lease)
      JOIN ${s}.ready_entries e ON e.job_id = i.job_id AND e.run_lease = i.run_lease - 1
      JOIN ${s}.queue_lanes l ON l.lane_id = e.lane_id
      WHERE i.job_id = ANY (v_ended));
  END IF;
END $awa$`,

  /*
   * Strikes instances off whose heartbeat is older than they promised, and takes over the attempts of all that are not on the
   * list: also of one whose claim was still committing when it was struck off.
   *
   * Nobody is judged by a time in which nobody could have reached the server: after a restart everybody gets a full promise
   * again, and the caller says for how long its own contact has been unbroken. Nor does anybody judge itself.
   *
   * Answers when the next one could be struck off, if it gives no heartbeat until then (NULL: there is no other).
   */
  `CREATE FUNCTION ${s}.rescue_attempts(
  p_self uuid, p_contact_ms double precision, p_limit int, p_after_lane int DEFAULT 0, p_after_seq bigint DEFAULT 0,
  OUT attempts int, OUT refused text[], OUT last_lane int, OUT last_seq bigint, OUT ended json, OUT next_in_ms double precision
) LANGUAGE plpgsql
${OWN_NAMES} AS $awa$
#variable_conflict use_column
DECLARE
  v_judged_from timestamptz := greatest(pg_postmaster_start_time(), clock_timestamp() - p_contact_ms * interval '1 millisecond');
BEGIN
  DELETE FROM ${s}.runtime_instances WHERE instance_id IN (
    SELECT i.instance_id FROM ${s}.runtime_instances i
    WHERE i.instance_id <> p_self AND i.stale_after < clock_timestamp() - greatest(i.heartbeat_at, v_judged_from)
    ORDER BY i.instance_id FOR UPDATE SKIP LOCKED);
  SELECT t.* INTO attempts, refused, last_lane, last_seq, ended FROM ${s}.take_over_attempts(
    NULL, '{}', '{}', 'lost', 'the worker that ran this attempt is gone', p_limit, p_after_lane, p_after_seq) t;
  next_in_ms := (SELECT extract(epoch FROM min(greatest(i.heartbeat_at, v_judged_from) + i.stale_after) - clock_timestamp()) * 1000
    FROM ${s}.runtime_instances i WHERE i.instance_id <> p_self);
END $awa$`,
];
