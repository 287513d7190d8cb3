import { OWN_NAMES } from './plan-settings.js';

/**
 * Bounded claimers: of the processes that work on a hot queue, only so many try to claim from it at a time.
 *
 * It saves the tries that would find a lane locked, and makes the claims that remain larger. It never owns a job: whoever is
 * refused tries again, and a slot whose holder has claimed nothing for 500 ms can be taken over. A queue is hot while
 * it is claimed from so often that claims are what limits it (claims a second and shard), by more processes than its
 * target. Everywhere else nothing is written, and everybody may try.
 *
 * Locks: the queue's queue_claimer_state row, then a queue_claimer_leases row; both SKIP LOCKED, and kept until the claim
 * commits. A holder that claims within 250 ms of its last mark takes and writes neither. All times are the database's.
 */
export const boundedClaimers = (s: string): string[] => [
  // Three levels: one, half of the most, the most. Down needs fewer waiting jobs than up did.
  `CREATE FUNCTION ${s}.next_claimer_target(p_target int, p_most int, p_backlog int) RETURNS int LANGUAGE sql IMMUTABLE AS $awa$
  SELECT CASE
    WHEN p_target <= 1 THEN CASE WHEN p_backlog >= 32 THEN p_most WHEN p_backlog >= 4 THEN h.half ELSE 1 END
    WHEN p_target < p_most THEN CASE WHEN p_backlog >= 64 THEN p_most WHEN p_backlog >= 2 THEN h.half ELSE 1 END
    ELSE CASE WHEN p_backlog >= 16 THEN p_most WHEN p_backlog >= 4 THEN h.half ELSE 1 END
  END
  FROM (SELECT least(p_most, greatest(2, p_most / 2)) AS half) h
$awa$`,

  // How many jobs wait, counted no further than p_cap: index ranges behind the cursors, never the backlog.
  `CREATE FUNCTION ${s}.backlog_up_to(p_queue text, p_cap int) RETURNS int LANGUAGE sql STABLE AS $awa$
  SELECT count(*)::int FROM (
    SELECT FROM ${s}.queue_lanes l
    CROSS JOIN LATERAL ${s}.unclaimed_ranges(l.lane_id, pg_current_snapshot()) g
    CROSS JOIN LATERAL (
      SELECT FROM ${s}.ready_entries e
      WHERE e.lane_id = l.lane_id
        AND (e.enqueue_xid, e.job_id) > (g.lo_xid, g.lo_job_id) AND e.enqueue_xid < g.hi_xid
      LIMIT p_cap
    ) waiting
    WHERE l.queue = p_queue
    LIMIT p_cap
  ) w
$awa$`,

  // Adapts target and heat to the last half second or more. Whoever comes while somebody else does it goes by what there is.
  `CREATE FUNCTION ${s}.refresh_claimer_state(p_queue text) RETURNS void LANGUAGE plpgsql
${OWN_NAMES} AS $awa$
DECLARE
  c_hot_rate CONSTANT int := 500;  -- claims a second and shard; half of it keeps a hot queue hot
  v_processes int := (SELECT count(*) FROM ${s}.runtime_instances i WHERE p_queue = ANY (i.queues));
  v_state record;
  v_claims bigint;
  v_shards int;
  v_target int;
  v_rate double precision;
BEGIN
  SELECT c.*, q.max_claimers INTO v_state
  FROM ${s}.queue_claimer_state c JOIN ${s}.queues q ON q.name = c.queue
  WHERE c.queue = p_queue AND c.refreshed_at <= clock_timestamp() - interval '500 ms'
  FOR NO KEY UPDATE OF c SKIP LOCKED;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  SELECT sum(k.claim_seq), count(DISTINCT l.shard) INTO v_claims, v_shards
  FROM ${s}.queue_lanes l CROSS JOIN LATERAL ${s}.lane_cursor(l.lane_id) k WHERE l.queue = p_queue;
  v_target := ${s}.next_claimer_target(v_state.target, v_state.max_claimers, ${s}.backlog_up_to(p_queue, 64));
  v_rate := (v_claims - v_state.claims) / extract(epoch FROM clock_timestamp() - v_state.refreshed_at) / v_shards;
  UPDATE ${s}.queue_claimer_state c
  SET target = v_target, claims = v_claims, refreshed_at = clock_timestamp(),
    hot = v_processes > v_target AND v_rate >= CASE WHEN c.hot THEN c_hot_rate / 2 ELSE c_hot_rate END
  WHERE c.queue = p_queue;
END $awa$`,

  // Takes a slot below the target that nobody holds any more. Alone in it, thanks to the lock: so a process holds one slot at most.
  `CREATE FUNCTION ${s}.acquire_claimer(p_instance_id uuid, p_queue text) RETURNS boolean LANGUAGE plpgsql
${OWN_NAMES} AS $awa$
DECLARE
  v_now timestamptz;
  v_target int;
  v_slot smallint;
BEGIN
  SELECT c.target INTO v_target FROM ${s}.queue_claimer_state c WHERE c.queue = p_queue FOR NO KEY UPDATE SKIP LOCKED;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  v_now := clock_timestamp();
  -- Its own first, then the lowest that is idle or expired. The condition is checked again on the locked row.
  SELECT l.claimer_slot INTO v_slot FROM ${s}.queue_claimer_leases l
  WHERE l.queue = p_queue AND l.claimer_slot < v_target
    AND (l.owner_instance_id = p_instance_id OR l.expires_at <= v_now OR l.last_claimed_at <= v_now - interval '500 ms')
  ORDER BY l.owner_instance_id <> p_instance_id, l.claimer_slot LIMIT 1
  FOR NO KEY UPDATE SKIP LOCKED;
  IF FOUND THEN
    UPDATE ${s}.queue_claimer_leases l
    SET owner_instance_id = p_instance_id, epoch = l.epoch + (l.owner_instance_id <> p_instance_id)::int,
      last_claimed_at = v_now, expires_at = v_now + interval '3 s'
    WHERE l.queue = p_queue AND l.claimer_slot = v_slot;
  ELSE
    v_slot := (SELECT min(n) FROM generate_series(0, v_target - 1) AS n
      WHERE NOT EXISTS (SELECT FROM ${s}.queue_claimer_leases l WHERE l.queue = p_queue AND l.claimer_slot = n));
    IF v_slot IS NULL THEN
      RETURN false;
    END IF;
    INSERT INTO ${s}.queue_claimer_leases (queue, claimer_slot, owner_instance_id, last_claimed_at, expires_at)
    VALUES (p_queue, v_slot, p_instance_id, v_now, v_now + interval '3 s');
  END IF;
  -- One that it held above a target that has shrunk since: nobody else locks a lease without the lock above, but its own mark.
  UPDATE ${s}.queue_claimer_leases l SET expires_at = v_now
  WHERE l.queue = p_queue AND l.owner_instance_id = p_instance_id AND l.claimer_slot <> v_slot AND l.expires_at > v_now;
  RETURN true;
END $awa$`,

  /*
   * May this instance claim from the queue now? mark_due: it holds a slot, and its mark is half worn out: after a claim
   * that took something, mark_claimer() renews it, before anybody else may take the slot over.
   */
  `CREATE FUNCTION ${s}.claimer_gate(p_instance_id uuid, p_queue text, p_open boolean, OUT admitted boolean, OUT mark_due boolean)
LANGUAGE plpgsql
${OWN_NAMES} AS $awa$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_hot boolean;
  v_old boolean;
BEGIN
  admitted := true;
  mark_due := false;
  IF p_open THEN
    RETURN;
  END IF;
  -- One process alone is told apart here, with the one read that everybody pays for.
  SELECT c.hot, c.refreshed_at <= v_now - interval '500 ms' AND (c.hot OR c.target > 1 OR (
      SELECT count(*) FROM (
        SELECT FROM ${s}.runtime_instances i WHERE p_queue = ANY (i.queues) LIMIT 2
      ) two) = 2)
    INTO v_hot, v_old
  FROM ${s}.queue_claimer_state c WHERE c.queue = p_queue;
  IF v_old THEN
    PERFORM ${s}.refresh_claimer_state(p_queue);
    v_hot := (SELECT c.hot FROM ${s}.queue_claimer_state c WHERE c.queue = p_queue);
  END IF;
  IF v_hot IS NOT TRUE THEN
    RETURN;
  END IF;
  SELECT l.last_claimed_at <= v_now - interval '250 ms' OR l.expires_at <= v_now + interval '1500 ms' INTO mark_due
  FROM ${s}.queue_claimer_leases l JOIN ${s}.queue_claimer_state c ON c.queue = l.queue
  WHERE l.queue = p_queue AND l.claimer_slot < c.target AND l.owner_instance_id = p_instance_id AND l.expires_at > v_now
  LIMIT 1;
  IF NOT FOUND THEN
    admitted := ${s}.acquire_claimer(p_instance_id, p_queue);
    mark_due := false;
  END IF;
END $awa$`,

  // Whoever is taking the slot over at this moment has it locked: then it is theirs.
  `CREATE FUNCTION ${s}.mark_claimer(p_instance_id uuid, p_queue text) RETURNS void LANGUAGE sql AS $awa$
  UPDATE ${s}.queue_claimer_leases l
  SET last_claimed_at = clock_timestamp(), expires_at = clock_timestamp() + interval '3 s'
  WHERE (l.queue, l.claimer_slot) IN (
    SELECT m.queue, m.claimer_slot FROM ${s}.queue_claimer_leases m
    WHERE m.queue = p_queue AND m.owner_instance_id = p_instance_id AND m.expires_at > clock_timestamp()
    FOR NO KEY UPDATE SKIP LOCKED)
$awa$`,
];
