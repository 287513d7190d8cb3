import { PLAN_BY_INDEX } from './plan-settings.js';

/**
 * Unique keys. A key belongs to one job from its enqueue until the job leaves the last of its states that hold the key. Every
 * job with a key has it in unique_key; a job without one never comes here.
 *
 * Locks: the key's row. Whoever inserts a key waits for a transaction that is inserting or releasing the same key, and for nothing
 * else; keys are taken one after the other in their order, so two statements never wait for each other. Whoever releases a
 * key waits for nobody: nothing but the closer of a job's attempt (or the reclaim of its record) writes the job's row, and an
 * enqueue that loses does not lock it.
 */
export const uniqueKeys = (s: string): string[] => [
  // Answers who holds each key after it: the job itself, or another one that had it first. Of equal keys the first takes it.
  // A key that is found taken and free again a moment later is tried again before the next one is looked at: the order stays.
  `CREATE FUNCTION ${s}.take_unique_keys(
  p_keys bytea[], p_job_ids bigint[], p_held_after text[], p_expires_at timestamptz[]
) RETURNS bigint[] LANGUAGE plpgsql
${PLAN_BY_INDEX} AS $awa$
DECLARE
  v_holders bigint[] := p_job_ids;
  v_holder bigint;
  v_key record;
  v_ord int;
BEGIN
  FOR v_key IN
    SELECT k.unique_key, array_agg(k.ord::int ORDER BY k.ord) AS ords
    FROM unnest(p_keys) WITH ORDINALITY AS k(unique_key, ord) GROUP BY k.unique_key ORDER BY k.unique_key
  LOOP
    v_ord := v_key.ords[1];
    LOOP
      v_holder := p_job_ids[v_ord];
      INSERT INTO ${s}.job_unique_claims (unique_key, job_id, held_after, expires_at)
      VALUES (v_key.unique_key, v_holder, string_to_array(p_held_after[v_ord], ','), p_expires_at[v_ord])
      ON CONFLICT (unique_key) DO NOTHING;
      EXIT WHEN FOUND;
      -- In a transaction with one snapshot there may be two: one that has been released since, and the one that this transaction has
      -- taken then, which is younger.
      SELECT c.job_id INTO v_holder FROM ${s}.job_unique_claims c WHERE c.unique_key = v_key.unique_key ORDER BY age(c.xmin) LIMIT 1;
      EXIT WHEN FOUND;
    END LOOP;
    FOREACH v_ord IN ARRAY v_key.ords LOOP
      v_holders[v_ord] := v_holder;
    END LOOP;
  END LOOP;
  RETURN v_holders;
END $awa$`,

  /*
   * enqueue_jobs for jobs with keys: only those that get their key are enqueued, the others are answered with the job that has it.
   * With a period, the number of the window since the epoch that the database's clock is in is part of the key.
   *
   * Under READ COMMITTED the holder of a taken key can always be read. In a transaction with one snapshot it may be newer than
   * that: then nothing is enqueued, and the only row of the answer has no id. The transaction stays usable.
   */
  `CREATE FUNCTION ${s}.enqueue_unique_jobs(
  p_queues text[], p_priorities int[], p_kinds text[], p_args text[], p_max_attempts int[],
  p_run_ats timestamptz[], p_delays_ms double precision[], p_payloads text[], p_ordering_keys text[],
  p_keys bytea[], p_periods_ms bigint[], p_held_after text[]
) RETURNS TABLE (job_id bigint, deduplicated boolean) LANGUAGE plpgsql SECURITY DEFINER
${PLAN_BY_INDEX} AS $awa$
#variable_conflict use_column
DECLARE
  v_now_ms bigint := floor(extract(epoch FROM clock_timestamp()) * 1000);
  v_keys bytea[];
  v_expiries timestamptz[];
  v_ids bigint[];
  v_holders bigint[];
BEGIN
  SELECT array_agg(i.key || coalesce(int8send(i.bucket), '') ORDER BY i.ord),
    array_agg(to_timestamp((i.bucket + 1) * i.period_ms / 1000.0) ORDER BY i.ord), array_agg(i.id ORDER BY i.ord)
  INTO v_keys, v_expiries, v_ids
  FROM (
    SELECT k.*, v_now_ms / k.period_ms AS bucket, nextval('${s}.job_ids'::regclass) AS id
    FROM unnest(p_keys, p_periods_ms) WITH ORDINALITY AS k(key, period_ms, ord)
  ) i;

  IF current_setting('transaction_isolation') IN ('repeatable read', 'serializable') THEN
    BEGIN
      v_holders := ${s}.take_unique_keys(v_keys, v_ids, p_held_after, v_expiries);
    EXCEPTION WHEN serialization_failure THEN
      RETURN QUERY SELECT NULL::bigint, true;
      RETURN;
    END;
  ELSE
    v_holders := ${s}.take_unique_keys(v_keys, v_ids, p_held_after, v_expiries);
  END IF;

  PERFORM ${s}.enqueue_keyed_jobs(
    array_agg(i.queue ORDER BY i.ord), array_agg(i.priority ORDER BY i.ord), array_agg(i.kind ORDER BY i.ord),
    array_agg(i.args ORDER BY i.ord), array_agg(i.max_attempts ORDER BY i.ord), array_agg(i.run_at ORDER BY i.ord),
    array_agg(i.delay_ms ORDER BY i.ord), array_agg(i.payload ORDER BY i.ord), array_agg(i.ordering_key ORDER BY i.ord),
    array_agg(i.id ORDER BY i.ord), array_agg(i.key ORDER BY i.ord))
  FROM unnest(p_queues, p_priorities, p_kinds, p_args, p_max_attempts, p_run_ats, p_delays_ms, p_payloads,
    p_ordering_keys, v_ids, v_keys, v_holders)
    WITH ORDINALITY AS i(queue, priority, kind, args, max_attempts, run_at, delay_ms, payload, ordering_key, id, key, holder, ord)
  WHERE i.holder = i.id
  HAVING count(*) > 0;

  RETURN QUERY SELECT h.holder, h.holder <> h.id
  FROM unnest(v_holders, v_ids) WITH ORDINALITY AS h(holder, id, ord) ORDER BY h.ord;
END $awa$`,

  /*
   * Jobs with keys have ended in a state: the keys are free, but for those that this state holds as well. Of these it is noted where the
   * job's record lies now: the ready slot of a completed job, the done slot of another. A slot of NULL: in no ring (a dead letter);
   * whoever deletes that record ends the key with 'purged', a state that holds none.
   */
  `CREATE FUNCTION ${s}.end_unique_keys(p_keys bytea[], p_job_ids bigint[], p_state text, p_slots smallint[]) RETURNS void
LANGUAGE plpgsql
${PLAN_BY_INDEX} AS $awa$
BEGIN
  DELETE FROM ${s}.job_unique_claims c
  WHERE c.unique_key = ANY (p_keys) AND c.job_id = ANY (p_job_ids)
    AND (p_state <> ALL (c.held_after) OR c.expires_at <= clock_timestamp());

  UPDATE ${s}.job_unique_claims c
  SET record_ring = CASE WHEN n.slot IS NULL THEN NULL WHEN p_state = 'completed' THEN 'ready' ELSE 'done' END, record_slot = n.slot
  FROM unnest(p_keys, p_job_ids, p_slots) AS n(unique_key, job_id, slot)
  WHERE c.unique_key = n.unique_key AND c.job_id = n.job_id AND c.record_slot IS DISTINCT FROM n.slot;
END $awa$`,

  // The records in a slot are about to go, and their keys with them. A key with a period stays until the period ends.
  `CREATE FUNCTION ${s}.drop_unique_records(p_ring text, p_slot smallint) RETURNS void LANGUAGE plpgsql
${PLAN_BY_INDEX} AS $awa$
BEGIN
  DELETE FROM ${s}.job_unique_claims c
  WHERE c.record_ring = p_ring AND c.record_slot = p_slot AND c.record_slot IS NOT NULL AND c.expires_at IS NULL;
END $awa$`,

  // Deletes keys of ended jobs whose period is over: nobody can ask for them any more. Answers how many.
  `CREATE FUNCTION ${s}.expire_unique_keys(p_limit int) RETURNS int LANGUAGE plpgsql
${PLAN_BY_INDEX} AS $awa$
DECLARE
  v_expired int;
BEGIN
  DELETE FROM ${s}.job_unique_claims WHERE unique_key = ANY (ARRAY(
    SELECT c.unique_key FROM ${s}.job_unique_claims c
    WHERE c.record_slot IS NOT NULL AND c.expires_at <= clock_timestamp()
    ORDER BY c.expires_at LIMIT p_limit FOR UPDATE SKIP LOCKED));
  GET DIAGNOSTICS v_expired = ROW_COUNT;
  RETURN v_expired;
END $awa$`,
];
