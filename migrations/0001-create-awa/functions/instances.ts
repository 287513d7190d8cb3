/**
 * Processes and what they hold. A process proves that it lives by its heartbeat; the attempts of one that does not are
 * taken from it. All times are the database's.
 */
export const instances = (s: string): string[] => [
  // Lanes are made here, ahead of the first job, so that no enqueuing transaction ever makes (and waits for) one.
  // Of p_dead_letter_ms, the retention of each queue's dead letters: NULL leaves it as it is, 0 turns them off.
  `CREATE FUNCTION ${s}.register_queues(p_queues text[], p_dead_letter_ms double precision[] DEFAULT '{}') RETURNS void
LANGUAGE plpgsql AS $awa$
BEGIN
  INSERT INTO ${s}.queues (name) SELECT DISTINCT q FROM unnest(p_queues) AS q ORDER BY q ON CONFLICT DO NOTHING;
  PERFORM ${s}.set_dead_letters(p_queues, p_dead_letter_ms);
  INSERT INTO ${s}.queue_lanes (queue, priority)
  SELECT DISTINCT q, p FROM unnest(p_queues) AS q CROSS JOIN generate_series(1, 4) AS p
  WHERE NOT EXISTS (SELECT FROM ${s}.queue_lanes l WHERE l.queue = q AND l.priority = p AND l.shard = 0)
  ORDER BY q, p ON CONFLICT DO NOTHING;
  INSERT INTO ${s}.queue_claim_heads (lane_id)
  SELECT l.lane_id FROM ${s}.queue_lanes l WHERE l.queue = ANY (p_queues)
    AND NOT EXISTS (SELECT FROM ${s}.queue_claim_heads h WHERE h.lane_id = l.lane_id)
  ORDER BY l.lane_id ON CONFLICT DO NOTHING;
END $awa$`,

  // False: this instance was declared lost; it must stop what it runs and register anew.
  `CREATE FUNCTION ${s}.heartbeat(p_instance_id uuid) RETURNS boolean LANGUAGE plpgsql AS $awa$
BEGIN
  UPDATE ${s}.runtime_instances SET heartbeat_at = clock_timestamp() WHERE instance_id = p_instance_id AND lost_at IS NULL;
  RETURN FOUND;
END $awa$`,

  // Ends the open attempts of an instance. Its claims are locked, except those that somebody is closing. What is retried is due
  // at once: the time until the instance was missed was back-off enough.
  `CREATE FUNCTION ${s}.take_over_attempts(p_instance_id uuid, p_known_lanes int[], p_known_seqs bigint[], p_outcome text,
  p_error text, p_limit int) RETURNS int LANGUAGE plpgsql AS $awa$
DECLARE
  v_open record;
BEGIN
  WITH held AS MATERIALIZED (
    SELECT c.lane_id, c.claim_seq, c.job_ids, c.run_leases
    FROM ${s}.lease_claims c
    WHERE c.instance_id = p_instance_id
      AND (c.lane_id, c.claim_seq) NOT IN (SELECT * FROM unnest(p_known_lanes, p_known_seqs))
      AND cardinality(c.job_ids) > (
        SELECT coalesce(sum(cardinality(x.items)), 0) FROM ${s}.lease_claim_closures x
        WHERE x.claim_slot = c.claim_slot AND x.lane_id = c.lane_id AND x.claim_seq = c.claim_seq)
    ORDER BY c.lane_id, c.claim_seq
    LIMIT p_limit
    FOR UPDATE OF c SKIP LOCKED
  )
  SELECT array_agg(h.lane_id) AS lane_ids, array_agg(h.claim_seq) AS claim_seqs,
    array_agg(i.item::smallint) AS items, array_agg(i.job_id) AS job_ids, array_agg(i.run_lease) AS run_leases
  INTO v_open
  FROM held h CROSS JOIN LATERAL unnest(h.job_ids, h.run_leases) WITH ORDINALITY AS i(job_id, run_lease, item);

  IF v_open.items IS NULL THEN
    RETURN 0;
  END IF;
  RETURN (SELECT count(*)::int FROM ${s}.settle_attempts(
    v_open.lane_ids, v_open.claim_seqs, v_open.items, v_open.job_ids, v_open.run_leases,
    array_fill(p_outcome, ARRAY[cardinality(v_open.items)]), array_fill(p_error, ARRAY[cardinality(v_open.items)]),
    array_fill(0::double precision, ARRAY[cardinality(v_open.items)])));
END $awa$`,

  /*
   * Declares instances lost whose heartbeat is older than they promised, and takes their attempts from them. After a restart of the
   * server everybody gets a full promise again: an outage must not make the whole fleet look dead. A lost instance's row
   * stays for an hour, and its claims are looked through as long: one may have been committing while it was declared lost.
   */
  `CREATE FUNCTION ${s}.rescue_attempts(p_limit int) RETURNS int LANGUAGE plpgsql AS $awa$
DECLARE
  v_instance record;
  v_rescued int := 0;
BEGIN
  UPDATE ${s}.runtime_instances SET lost_at = clock_timestamp() WHERE instance_id IN (
    SELECT i.instance_id FROM ${s}.runtime_instances i
    WHERE i.lost_at IS NULL AND greatest(i.heartbeat_at, pg_postmaster_start_time()) < clock_timestamp() - i.stale_after
    ORDER BY i.instance_id FOR UPDATE SKIP LOCKED);

  FOR v_instance IN
    SELECT i.instance_id, i.hostname, i.pid FROM ${s}.runtime_instances i WHERE i.lost_at IS NOT NULL ORDER BY i.lost_at DESC
  LOOP
    EXIT WHEN v_rescued >= p_limit;
    v_rescued := v_rescued + ${s}.take_over_attempts(v_instance.instance_id, '{}', '{}', 'lost',
      format('the worker that ran this attempt is gone (%s, pid %s)', v_instance.hostname, v_instance.pid), 32);
  END LOOP;

  DELETE FROM ${s}.runtime_instances WHERE lost_at < clock_timestamp() - interval '1 hour';
  RETURN v_rescued;
END $awa$`,
];
