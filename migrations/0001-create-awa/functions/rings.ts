import { RINGS } from '../rings.js';
import { OWN_NAMES, PLAN_BY_INDEX } from './plan-settings.js';

/**
 * Rotation and reclaim of the rings.
 *
 * rotate_ring appends to the ledger: two rotations from one generation have one key, so one of them is refused. prune_ring
 * empties the slot of a sealed generation: proof that nothing in it is needed -> ACCESS EXCLUSIVE on the slot's tables, given up
 * after a moment -> the same proof again, since only now nobody can add to the slot any more -> what must outlive it is copied to
 * the current slot -> TRUNCATE. Both answer NULL when they did it, and otherwise what is in the way. prune_ring acts as the owner: no
 * other role may truncate, or lock, a table.
 *
 * Locks: the children of one slot, in the order of the catalogue. Whoever uses several of them uses them in that order.
 */
export const rings = (s: string): string[] => [
  `CREATE FUNCTION ${s}.current_slot(p_ring text) RETURNS smallint LANGUAGE sql STABLE AS $awa$
  SELECT r.slot FROM ${s}.ring_rotations r WHERE r.ring = p_ring ORDER BY r.generation DESC LIMIT 1
$awa$`,

  // The generations that hold something, newest first. sealed_at is NULL for the one that is written now.
  `CREATE FUNCTION ${s}.ring_segments(p_ring text)
RETURNS TABLE (generation bigint, slot smallint, opened_at timestamptz, sealed_at timestamptz, bytes bigint)
LANGUAGE sql STABLE AS $awa$
  SELECT r.generation, r.slot, r.rotated_at, lead(r.rotated_at) OVER (ORDER BY r.generation), CASE r.ring
    ${RINGS.map(({ name, tables }) => `WHEN '${name}' THEN ${tables.map((table) => `pg_total_relation_size(format('%I.%I', n.nspname, '${table}_' || r.slot)::regclass)`).join(' + ')}`).join('\n    ')}
  END
  FROM ${s}.ring_rotations r
  JOIN pg_catalog.pg_namespace n ON n.oid = (SELECT c.relnamespace FROM pg_catalog.pg_class c WHERE c.oid = '${s}.ring_rotations'::regclass)
  WHERE r.ring = p_ring
    AND NOT EXISTS (SELECT FROM ${s}.ring_prunes p WHERE p.ring = r.ring AND p.generation = r.generation)
  ORDER BY r.generation DESC
$awa$`,

  `CREATE FUNCTION ${s}.ring_slots(p_ring text) RETURNS int LANGUAGE sql IMMUTABLE AS $awa$
  SELECT CASE p_ring ${RINGS.map(({ name, slots }) => `WHEN '${name}' THEN ${slots}`).join(' ')} END
$awa$`,

  // Has anything been written to the ring since its current generation began? An idle ring is not rotated.
  `CREATE FUNCTION ${s}.ring_is_idle(p_ring text, p_slot smallint, p_since timestamptz) RETURNS boolean LANGUAGE sql STABLE AS $awa$
  SELECT NOT CASE p_ring
    WHEN 'ready' THEN EXISTS (SELECT FROM ${s}.ready_entries e WHERE e.ready_slot = p_slot)
    -- Rows that were carried over are older than the generation.
    WHEN 'claim' THEN EXISTS (SELECT FROM ${s}.lease_claims c WHERE c.claim_slot = p_slot AND c.claimed_at > p_since)
    WHEN 'done' THEN EXISTS (SELECT FROM ${s}.done_entries d WHERE d.done_slot = p_slot)
  END
$awa$`,

  `CREATE FUNCTION ${s}.rotate_ring(p_ring text, p_generation bigint) RETURNS text LANGUAGE plpgsql
${OWN_NAMES} AS $awa$
DECLARE
  v_current record;
  v_free smallint;
BEGIN
  SELECT * INTO v_current FROM ${s}.ring_rotations r WHERE r.ring = p_ring ORDER BY r.generation DESC LIMIT 1;
  IF v_current.generation <> p_generation THEN
    RETURN 'somebody else has rotated';
  END IF;
  IF ${s}.ring_is_idle(p_ring, v_current.slot, v_current.rotated_at) THEN
    RETURN 'nothing to seal';
  END IF;
  v_free := (
    SELECT n FROM generate_series(0, ${s}.ring_slots(p_ring) - 1) AS n
    WHERE n NOT IN (SELECT g.slot FROM ${s}.ring_segments(p_ring) g)
    ORDER BY (n - v_current.slot + 64) % ${s}.ring_slots(p_ring) LIMIT 1);
  IF v_free IS NULL THEN
    RETURN 'no free slot';
  END IF;
  INSERT INTO ${s}.ring_rotations (ring, generation, slot) VALUES (p_ring, p_generation + 1, v_free) ON CONFLICT DO NOTHING;
  IF NOT FOUND THEN
    RETURN 'somebody else has rotated';
  END IF;
  -- The ledgers keep what is not pruned and a little history.
  DELETE FROM ${s}.ring_rotations r USING ${s}.ring_prunes p
  WHERE r.ring = p_ring AND p.ring = p_ring AND p.generation = r.generation AND r.generation < p_generation - 64;
  DELETE FROM ${s}.ring_prunes p WHERE p.ring = p_ring AND p.generation < p_generation - 64;
  RETURN NULL;
END $awa$`,

  // What in a ready slot is still needed: a job that waits, the body of an attempt that runs, or a job that has not been completed for long.
  `CREATE FUNCTION ${s}.ready_blocker(p_slot smallint, p_keep interval) RETURNS text LANGUAGE plpgsql
${PLAN_BY_INDEX} AS $awa$
DECLARE
  v_queue text;
  v_job bigint;
BEGIN
  SELECT l.queue INTO v_queue FROM ${s}.queue_lanes l
  WHERE EXISTS (SELECT FROM ${s}.ready_entries e WHERE e.ready_slot = p_slot AND e.lane_id = l.lane_id)
    AND EXISTS (
      SELECT FROM ${s}.unclaimed_ranges(l.lane_id, pg_current_snapshot()) g
      CROSS JOIN LATERAL (
        SELECT FROM ${s}.ready_entries e
        WHERE e.ready_slot = p_slot AND e.lane_id = l.lane_id
          AND (e.enqueue_xid, e.job_id) > (g.lo_xid, g.lo_job_id) AND e.enqueue_xid < g.hi_xid
          AND NOT EXISTS (SELECT FROM ${s}.ready_tombstones t
            WHERE t.ready_slot = e.ready_slot AND t.job_id = e.job_id AND t.run_lease = e.run_lease)
        LIMIT 1
      ) waiting
    )
  LIMIT 1;
  IF FOUND THEN
    RETURN format('jobs of queue "%s" wait in it', v_queue);
  END IF;

  SELECT o.job_id INTO v_job FROM ${s}.open_attempts() o
  WHERE EXISTS (SELECT FROM ${s}.ready_entries e
    WHERE e.ready_slot = p_slot AND e.job_id = o.job_id AND e.run_lease = o.run_lease - 1)
  LIMIT 1;
  IF FOUND THEN
    RETURN format('job %s of it runs', v_job);
  END IF;

  -- A job lies where it was enqueued: it may have been completed long after that segment was sealed.
  IF EXISTS (SELECT FROM ${s}.queue_lanes l JOIN ${s}.completion_batches b
      ON b.ready_slot = p_slot AND b.lane_id = l.lane_id AND b.completed_at > clock_timestamp() - p_keep) THEN
    RETURN 'completed jobs of it are still kept';
  END IF;
  RETURN NULL;
END $awa$`,

  // Every item of a claim that no closure names. Reads the claim ring, which holds little more than what is open.
  `CREATE FUNCTION ${s}.open_attempts() RETURNS TABLE (claim_slot smallint, lane_id int, claim_seq bigint, job_id bigint, run_lease int)
LANGUAGE sql STABLE AS $awa$
  SELECT c.claim_slot, c.lane_id, c.claim_seq, i.job_id, i.run_lease
  FROM ${s}.lease_claims c
  CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(item), '{}') AS closed FROM ${s}.lease_claim_closures x, unnest(x.items) AS item
    WHERE x.lane_id = c.lane_id AND x.claim_seq = c.claim_seq
  ) x
  CROSS JOIN LATERAL unnest(c.job_ids, c.run_leases) WITH ORDINALITY AS i(job_id, run_lease, item)
  WHERE cardinality(x.closed) < cardinality(c.job_ids) AND i.item <> ALL (x.closed)
$awa$`,

  /*
   * What outlives a claim slot: the cursor of each lane whose newest claim lies in it, and claims with open attempts, with their
   * closures. They keep their keys. A claim that is only a cursor any more carries no items.
   */
  `CREATE FUNCTION ${s}.carry_claims(p_from smallint, p_to smallint) RETURNS void LANGUAGE plpgsql
${PLAN_BY_INDEX} AS $awa$
BEGIN
  WITH held AS MATERIALIZED (
    SELECT c.*, NOT EXISTS (SELECT FROM ${s}.lease_claims n WHERE n.lane_id = c.lane_id AND n.claim_seq > c.claim_seq) AS is_cursor,
      cardinality(c.job_ids) > (
        SELECT coalesce(sum(cardinality(x.items)), 0) FROM ${s}.lease_claim_closures x
        WHERE x.claim_slot = p_from AND x.lane_id = c.lane_id AND x.claim_seq = c.claim_seq) AS is_open
    FROM ${s}.lease_claims c WHERE c.claim_slot = p_from
  ), closures AS (
    INSERT INTO ${s}.lease_claim_closures (claim_seq, closed_at, lane_id, claim_slot, outcome, items)
    SELECT x.claim_seq, x.closed_at, x.lane_id, p_to, x.outcome, x.items
    FROM held h JOIN ${s}.lease_claim_closures x
      ON x.claim_slot = p_from AND x.lane_id = h.lane_id AND x.claim_seq = h.claim_seq
    WHERE h.is_open
  )
  INSERT INTO ${s}.lease_claims (claim_seq, claimed_at, instance_id, lane_id, claim_slot,
    window_prev, window_cur, pos_xid, pos_job_id, job_ids, run_leases)
  SELECT h.claim_seq, h.claimed_at, h.instance_id, h.lane_id, p_to, h.window_prev, h.window_cur, h.pos_xid, h.pos_job_id,
    CASE WHEN h.is_open THEN h.job_ids ELSE '{}' END, CASE WHEN h.is_open THEN h.run_leases ELSE '{}' END
  FROM held h WHERE h.is_open OR h.is_cursor;
END $awa$`,

  // Completed jobs are there for p_keep after their completion.
  `CREATE FUNCTION ${s}.prune_ring(p_ring text, p_generation bigint, p_keep interval DEFAULT '0', p_patience interval DEFAULT '20 ms')
RETURNS text LANGUAGE plpgsql SECURITY DEFINER
${OWN_NAMES} AS $awa$
DECLARE
  v_lock_timeout text := current_setting('lock_timeout');
  v_tables text[];
  v_table text;
  v_slot smallint;
  v_blocker text;
BEGIN
  -- One at a time, whatever the slot: a proof reads other slots than its own, so two who hold one each would wait for each other.
  IF NOT pg_try_advisory_xact_lock(hashtextextended('${s}.prune_ring', 0)) THEN
    RETURN 'somebody else is pruning';
  END IF;
  SELECT g.slot INTO v_slot FROM ${s}.ring_segments(p_ring) g WHERE g.generation = p_generation AND g.sealed_at IS NOT NULL;
  IF NOT FOUND THEN
    RETURN 'not a sealed generation';
  END IF;
  IF p_ring = 'ready' THEN
    v_blocker := ${s}.ready_blocker(v_slot, p_keep);
    IF v_blocker IS NOT NULL THEN
      RETURN v_blocker;
    END IF;
  END IF;

  v_tables := CASE p_ring
    ${RINGS.map(({ name, tables }) => `WHEN '${name}' THEN ARRAY[${tables.map((table) => `'${table}'`).join(', ')}]`).join('\n    ')}
  END;
  BEGIN
    PERFORM set_config('lock_timeout', (extract(epoch FROM p_patience) * 1000)::int::text, true);
    FOREACH v_table IN ARRAY v_tables LOOP
      EXECUTE format('LOCK TABLE ONLY ${s}.%I IN ACCESS EXCLUSIVE MODE', v_table || '_' || v_slot);
    END LOOP;
    PERFORM set_config('lock_timeout', v_lock_timeout, true);
  EXCEPTION WHEN lock_not_available THEN
    RETURN 'its tables are in use';
  END;

  -- Somebody else may have pruned it, and it may hold something else by now.
  IF EXISTS (SELECT FROM ${s}.ring_prunes p WHERE p.ring = p_ring AND p.generation = p_generation) THEN
    RETURN 'not a sealed generation';
  END IF;
  IF p_ring = 'ready' THEN
    v_blocker := ${s}.ready_blocker(v_slot, p_keep);
    IF v_blocker IS NOT NULL THEN
      RETURN v_blocker;
    END IF;
  ELSIF p_ring = 'claim' THEN
    PERFORM ${s}.carry_claims(v_slot, ${s}.current_slot('claim'));
  END IF;
  PERFORM ${s}.drop_unique_records(p_ring, v_slot);
  FOREACH v_table IN ARRAY v_tables LOOP
    EXECUTE format('TRUNCATE ONLY ${s}.%I', v_table || '_' || v_slot);
  END LOOP;
  INSERT INTO ${s}.ring_prunes (ring, generation) VALUES (p_ring, p_generation);
  RETURN NULL;
END $awa$`,
];
