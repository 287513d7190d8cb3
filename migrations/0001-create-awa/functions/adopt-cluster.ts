import { OWN_NAMES, PLAN_BY_INDEX } from './plan-settings.js';

/**
 * Transaction ids mean something in one cluster only, and cursors and ready rows carry them. A schema that was dumped and restored
 * elsewhere, or that came by logical replication, has to be adopted before anything else is done with it.
 *
 * adopt_cluster, in one transaction. The old cursors still tell claimed rows from waiting ones, as both carry ids of one cluster, so:
 *   1. the instances are struck off, and their attempts end as those of dead processes do. Nothing is open then;
 *   2. of the rows that were claimed (or have a tombstone), those that could be mistaken for new ones get the oldest id there is;
 *   3. those that wait get the id of this transaction. Within a lane their order is that of their job ids from now on;
 *   4. the claims go, with all their foreign snapshots, and each lane gets a cursor that ends at the oldest transaction still open.
 *
 * It does no harm where it was not needed: after pg_upgrade, which keeps transaction ids but not the identifier.
 *
 * Both functions have the rights of the schema's owner: they lock, TRUNCATE and set sequences, and do nothing without a reason.
 *
 * Locks, for the whole transaction: the advisory lock of the schema; then runtime_instances, queue_claim_heads and ready_entries
 * against all writers, lease_claims and lease_claim_closures against readers as well. All of them or none: they are tried for less
 * than deadlock_timeout and given up together, so that it is never somebody else's transaction that a deadlock ends.
 */
export const adoptCluster = (s: string, lockKey: string): string[] => [
  // NULL where the role must not ask: then only ids that are ahead of this cluster give a foreign schema away.
  `CREATE FUNCTION ${s}.system_identifier() RETURNS bigint LANGUAGE plpgsql STABLE
${OWN_NAMES} AS $awa$
BEGIN
  RETURN (SELECT c.system_identifier FROM pg_control_system() c);
EXCEPTION WHEN insufficient_privilege THEN
  RETURN NULL;
END $awa$`,

  // Why the schema has to be adopted; NULL when it has not. Reads the end of each lane.
  `CREATE FUNCTION ${s}.foreign_cluster() RETURNS text LANGUAGE plpgsql STABLE SECURITY DEFINER
${PLAN_BY_INDEX} AS $awa$
DECLARE
  v_own bigint := ${s}.system_identifier();
  v_next xid8 := pg_snapshot_xmax(pg_current_snapshot());
BEGIN
  IF v_own IS NOT NULL AND (SELECT bool_and(c.system_identifier = v_own) FROM ${s}.clusters c) IS NOT TRUE THEN
    RETURN 'it comes from another cluster';
  END IF;
  IF EXISTS (
    SELECT FROM ${s}.queue_lanes l CROSS JOIN LATERAL ${s}.lane_cursor(l.lane_id) k
    WHERE pg_snapshot_xmax(k.window_cur) > v_next
      OR (SELECT e.enqueue_xid FROM ${s}.ready_entries e WHERE e.lane_id = l.lane_id
          ORDER BY e.enqueue_xid DESC LIMIT 1) >= v_next
  ) THEN
    RETURN 'its transaction ids are ahead of this cluster';
  END IF;
  RETURN NULL;
END $awa$`,

  // Answers one row when it was this call that adopted the schema: how many jobs wait, how many attempts it ended.
  `CREATE FUNCTION ${s}.adopt_cluster() RETURNS TABLE (waiting bigint, attempts int) LANGUAGE plpgsql SECURITY DEFINER
${OWN_NAMES} AS $awa$
DECLARE
  c_oldest CONSTANT xid8 := '3';  -- the first one that a cluster gives out: before every snapshot
  v_lock_timeout text := current_setting('lock_timeout');
  v_deadline timestamptz;
  v_xid xid8;
  v_horizon xid8;
  v_lanes int[];
  v_seqs bigint[];
BEGIN
  PERFORM ${s}.require_read_committed();
  IF pg_current_xact_id_if_assigned() IS NOT NULL THEN
    RAISE EXCEPTION 'a schema can only be adopted in a transaction of its own' USING ERRCODE = 'AW003';
  END IF;
  PERFORM pg_advisory_xact_lock(${lockKey}::bigint);
  IF ${s}.foreign_cluster() IS NULL THEN
    RETURN;
  END IF;

  v_deadline := clock_timestamp() + interval '60 s';
  LOOP
    BEGIN
      PERFORM set_config('lock_timeout', '500ms', true);
      LOCK TABLE ${s}.runtime_instances, ${s}.queue_claim_heads, ${s}.ready_entries IN EXCLUSIVE MODE;
      LOCK TABLE ${s}.lease_claims, ${s}.lease_claim_closures IN ACCESS EXCLUSIVE MODE;
      PERFORM set_config('lock_timeout', v_lock_timeout, true);
      EXIT;
    EXCEPTION WHEN lock_not_available THEN
      IF clock_timestamp() > v_deadline THEN
        RAISE EXCEPTION 'the schema has to be adopted by this cluster, but other transactions use its tables'
          USING ERRCODE = 'lock_not_available', HINT = 'End them, and start again.';
      END IF;
    END;
  END LOOP;

  DELETE FROM ${s}.runtime_instances;
  DELETE FROM ${s}.queue_claimer_leases;
  SELECT t.attempts INTO attempts FROM ${s}.take_over_attempts(
    NULL, '{}', '{}', 'lost', 'the worker that ran this attempt is gone: the database was restored', NULL) t;

  -- Whoever is still at work has an id from the horizon on, and may yet enqueue with it.
  v_xid := pg_current_xact_id();
  v_horizon := least(pg_snapshot_xmin(pg_current_snapshot()), v_xid);

  -- First those that were claimed: among their foreign ids may be this transaction's own.
  UPDATE ${s}.ready_entries e SET enqueue_xid = c_oldest
  FROM ${s}.queue_lanes l CROSS JOIN LATERAL ${s}.lane_cursor(l.lane_id) k
  WHERE e.lane_id = l.lane_id AND e.enqueue_xid >= v_horizon
    AND (${s}.cursor_covers(k.window_prev, k.window_cur, k.pos_xid, k.pos_job_id, e.enqueue_xid, e.job_id)
      OR EXISTS (SELECT FROM ${s}.ready_tombstones t
        WHERE t.ready_slot = e.ready_slot AND t.job_id = e.job_id AND t.run_lease = e.run_lease));
  UPDATE ${s}.ready_entries e SET enqueue_xid = v_xid
  FROM ${s}.queue_lanes l CROSS JOIN LATERAL ${s}.lane_cursor(l.lane_id) k
  WHERE e.lane_id = l.lane_id
    AND NOT ${s}.cursor_covers(k.window_prev, k.window_cur, k.pos_xid, k.pos_job_id, e.enqueue_xid, e.job_id)
    AND NOT EXISTS (SELECT FROM ${s}.ready_tombstones t
      WHERE t.ready_slot = e.ready_slot AND t.job_id = e.job_id AND t.run_lease = e.run_lease);
  GET DIAGNOSTICS waiting = ROW_COUNT;

  SELECT array_agg(n.lane_id), array_agg(n.claim_seq) INTO v_lanes, v_seqs
  FROM (SELECT c.lane_id, max(c.claim_seq) AS claim_seq FROM ${s}.lease_claims c GROUP BY c.lane_id) n;
  TRUNCATE ${s}.lease_claims, ${s}.lease_claim_closures;
  INSERT INTO ${s}.lease_claims (claim_seq, claimed_at, instance_id, lane_id, claim_slot, window_cur, job_ids, run_leases)
  SELECT n.claim_seq + 1, clock_timestamp(), '00000000-0000-0000-0000-000000000000', n.lane_id, ${s}.current_slot('claim'),
    format('%1$s:%1$s:', v_horizon)::pg_snapshot, '{}', '{}'
  FROM unnest(v_lanes, v_seqs) AS n(lane_id, claim_seq);

  -- A dump has the sequences, logical replication has not.
  PERFORM setval(n.name, greatest(n.newest, pg_sequence_last_value(n.name)))
  FROM (
    SELECT '${s}.job_ids'::regclass AS name, greatest(
      (SELECT e.job_id FROM ${s}.ready_entries e ORDER BY e.job_id DESC LIMIT 1),
      (SELECT d.job_id FROM ${s}.done_entries d ORDER BY d.job_id DESC LIMIT 1),
      (SELECT d.job_id FROM ${s}.dlq_entries d ORDER BY d.job_id DESC LIMIT 1),
      (SELECT d.job_id FROM ${s}.deferred_jobs d ORDER BY d.job_id DESC LIMIT 1)) AS newest
    UNION ALL
    SELECT pg_get_serial_sequence('${s}.queue_lanes', 'lane_id')::regclass, (SELECT max(l.lane_id) FROM ${s}.queue_lanes l)
  ) n WHERE n.newest IS NOT NULL;

  DELETE FROM ${s}.clusters;
  INSERT INTO ${s}.clusters (system_identifier) SELECT i FROM ${s}.system_identifier() AS i WHERE i IS NOT NULL;
  RETURN NEXT;
END $awa$`,

  // The schema is at home where it is made.
  `INSERT INTO ${s}.clusters (system_identifier) SELECT i FROM ${s}.system_identifier() AS i WHERE i IS NOT NULL`,
];
