import { JOB_COLUMNS } from './job-rows.js';
import { laneWalk } from './lane-walk.js';
import { PLAN_BY_INDEX } from './plan-settings.js';

/** Kept for so long in a queue whose dead letters are not enabled (any more). */
const DEFAULT_RETENTION = "interval '30 days'";

/** Conditions on row w that no index answers. */
const FILTER = `(p_kind IS NULL OR w.kind = p_kind) AND (p_tag IS NULL OR w.payload->'tags' ? p_tag)
      AND (p_reason IS NULL OR w.reason = p_reason)
      AND (p_from IS NULL OR w.dlq_at >= p_from) AND (p_to IS NULL OR w.dlq_at < p_to)`;

/**
 * Dead letters: finding, retrying and purging them, and making some of failed jobs.
 *
 * Whoever takes an entry out of the table has deleted it, so of a retry and a purge one finds it and the other does not.
 * With p_wait another transaction that is at an entry is waited for; without, its entry is skipped: operations on many never
 * wait, so two of them cannot deadlock.
 */
export const deadLetters = (s: string, channel: string): string[] => [
  finder(s, 'list_dead_letters', 'DESC'),
  finder(s, 'walk_dead_letters', 'ASC'),

  // Puts entries back into their queue or another one: attempts are counted anew, run_lease goes on growing. Answers their ids.
  `CREATE FUNCTION ${s}.retry_dead_letters(p_ids bigint[], p_wait boolean, p_queue text, p_priority int, p_max_attempts int,
  p_run_at timestamptz, p_delay_ms double precision) RETURNS SETOF bigint LANGUAGE plpgsql
${PLAN_BY_INDEX} AS $awa$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_due timestamptz := coalesce(p_run_at, v_now + p_delay_ms * interval '1 millisecond', v_now);
  v_slot smallint := ${s}.current_slot('ready');
  v_ids bigint[];
  v_queues text[];
BEGIN
  IF p_wait THEN
    PERFORM FROM ${s}.dlq_entries e WHERE e.job_id = ANY (p_ids) ORDER BY e.job_id FOR UPDATE;
  END IF;
  WITH held AS MATERIALIZED (
    SELECT e.job_id FROM ${s}.dlq_entries e WHERE e.job_id = ANY (p_ids) FOR UPDATE SKIP LOCKED
  ), taken AS MATERIALIZED (
    DELETE FROM ${s}.dlq_entries e USING held h WHERE e.job_id = h.job_id RETURNING e.*
  ), placed AS MATERIALIZED (
    SELECT t.*, q.queue, coalesce(p_max_attempts, t.max_attempts) AS attempts,
      coalesce(l.lane_id, ${s}.unknown_lane(q.queue, q.priority)) AS new_lane_id
    FROM taken t
    JOIN ${s}.queue_lanes o ON o.lane_id = t.lane_id
    CROSS JOIN LATERAL (SELECT coalesce(p_queue, o.queue) AS queue, coalesce(p_priority, o.priority) AS priority) q
    LEFT JOIN LATERAL (
      -- The shard it was in, where there is one.
      SELECT l.lane_id FROM ${s}.queue_lanes l WHERE l.queue = q.queue AND l.priority = q.priority
      ORDER BY l.shard <> o.shard, l.shard LIMIT 1
    ) l ON true
  ), ready AS (
    INSERT INTO ${s}.ready_entries (job_id, run_at, created_at, lane_id, attempt, run_lease, ready_slot, max_attempts,
      kind, args, unique_key, payload)
    SELECT p.job_id, v_due, p.created_at, p.new_lane_id, 0, p.run_lease, v_slot, p.attempts, p.kind, p.args, p.unique_key, p.payload
    FROM placed p WHERE v_due <= v_now ORDER BY p.dlq_at, p.job_id
  ), deferred AS (
    INSERT INTO ${s}.deferred_jobs (job_id, run_at, created_at, lane_id, attempt, run_lease, max_attempts, state,
      kind, args, unique_key, payload)
    SELECT p.job_id, v_due, p.created_at, p.new_lane_id, 0, p.run_lease, p.attempts, 'scheduled',
      p.kind, p.args, p.unique_key, p.payload
    FROM placed p WHERE v_due > v_now
  )
  SELECT array_agg(p.job_id), array_agg(DISTINCT p.queue) INTO v_ids, v_queues FROM placed p;

  PERFORM pg_notify('${channel}', q) FROM unnest(v_queues) AS q WHERE v_due <= v_now;
  RETURN QUERY SELECT unnest(v_ids);
END $awa$`,

  // Answers the ids of the entries that it has deleted.
  `CREATE FUNCTION ${s}.purge_dead_letters(p_ids bigint[], p_wait boolean) RETURNS SETOF bigint LANGUAGE plpgsql
${PLAN_BY_INDEX} AS $awa$
BEGIN
  IF p_wait THEN
    PERFORM FROM ${s}.dlq_entries e WHERE e.job_id = ANY (p_ids) ORDER BY e.job_id FOR UPDATE;
  END IF;
  RETURN QUERY
  WITH held AS MATERIALIZED (
    SELECT e.job_id FROM ${s}.dlq_entries e WHERE e.job_id = ANY (p_ids) FOR UPDATE SKIP LOCKED
  )
  DELETE FROM ${s}.dlq_entries e USING held h WHERE e.job_id = h.job_id RETURNING e.job_id;
END $awa$`,

  // Deletes what is older than its queue keeps it, at most p_limit. Any number of processes may do it at once.
  `CREATE FUNCTION ${s}.purge_expired_dead_letters(p_limit int) RETURNS int LANGUAGE plpgsql
${PLAN_BY_INDEX} AS $awa$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_purged int;
BEGIN
  WITH expired AS MATERIALIZED (
    SELECT x.job_id FROM ${s}.queue_lanes l
    JOIN ${s}.queues q ON q.name = l.queue
    CROSS JOIN LATERAL (
      SELECT e.job_id FROM ${s}.dlq_entries e
      WHERE e.lane_id = l.lane_id AND e.dlq_at < v_now - coalesce(q.dead_letter_retention, ${DEFAULT_RETENTION})
      ORDER BY e.dlq_at, e.job_id LIMIT p_limit FOR UPDATE SKIP LOCKED
    ) x
    LIMIT p_limit
  )
  DELETE FROM ${s}.dlq_entries e USING expired x WHERE e.job_id = x.job_id;
  GET DIAGNOSTICS v_purged = ROW_COUNT;
  RETURN v_purged;
END $awa$`,

  walkFailed(s),

  // Makes dead letters of failed jobs, for an operator's reason. Answers their ids.
  `CREATE FUNCTION ${s}.move_failed_to_dlq(p_ids bigint[], p_reason text) RETURNS SETOF bigint LANGUAGE plpgsql
${PLAN_BY_INDEX} AS $awa$
DECLARE
  v_now timestamptz := clock_timestamp();
BEGIN
  RETURN QUERY
  WITH held AS MATERIALIZED (
    SELECT d.done_slot, d.job_id, d.run_lease FROM ${s}.done_entries d
    WHERE d.job_id = ANY (p_ids) AND d.state = 'failed' FOR UPDATE SKIP LOCKED
  ), taken AS MATERIALIZED (
    DELETE FROM ${s}.done_entries d USING held h
    WHERE d.done_slot = h.done_slot AND d.job_id = h.job_id AND d.run_lease = h.run_lease RETURNING d.*
  )
  INSERT INTO ${s}.dlq_entries AS e (job_id, run_at, created_at, attempted_at, finalized_at, dlq_at, lane_id, attempt, run_lease,
    max_attempts, reason, kind, args, unique_key, payload)
  SELECT t.job_id, t.run_at, t.created_at, t.attempted_at, t.finalized_at, v_now, t.lane_id, t.attempt, t.run_lease,
    t.max_attempts, p_reason, t.kind, t.args, t.unique_key, t.payload
  FROM taken t RETURNING e.job_id;
END $awa$`,

  // Of p_dead_letter_ms: NULL leaves a queue as it is, 0 turns its dead letters off. Rows are locked in the order of their names.
  `CREATE FUNCTION ${s}.set_dead_letters(p_queues text[], p_dead_letter_ms double precision[]) RETURNS void LANGUAGE plpgsql AS $awa$
BEGIN
  WITH changed AS MATERIALIZED (
    SELECT q.name, n.retention FROM ${s}.queues q
    JOIN (
      SELECT DISTINCT ON (i.name) i.name, nullif(i.ms, 0) * interval '1 millisecond' AS retention
      FROM unnest(p_queues, p_dead_letter_ms) AS i(name, ms) WHERE i.name IS NOT NULL AND i.ms IS NOT NULL
    ) n ON n.name = q.name
    WHERE q.dead_letter_retention IS DISTINCT FROM n.retention
    ORDER BY q.name FOR NO KEY UPDATE OF q
  )
  UPDATE ${s}.queues q SET dead_letter_retention = c.retention FROM changed c WHERE q.name = c.name;
END $awa$`,
];

/** By id (then neither the position nor p_limit count), or page by page in the order of (dlq_at, job_id). */
function finder(s: string, name: string, direction: 'ASC' | 'DESC'): string {
  const walk = laneWalk({
    table: `${s}.dlq_entries`,
    columns: `e.kind, e.payload, e.reason, e.run_at, e.created_at, e.attempted_at, e.finalized_at, e.attempt, e.run_lease,
        e.max_attempts, e.args`,
    key: 'dlq_at',
    direction,
  });
  const answer = `w.job_id, w.kind, l.queue, l.priority, 'failed', w.attempt, w.max_attempts::int, w.run_lease, w.run_at, w.created_at,
      w.attempted_at, w.finalized_at, w.args, w.payload, true, w.reason`;
  const [firstKey, firstId] =
    direction === 'ASC' ? ["'-infinity'", '0'] : ["'infinity'", '9223372036854775807'];
  return `CREATE FUNCTION ${s}.${name}(p_ids bigint[], p_queue text, p_kind text, p_tag text, p_reason text, p_from timestamptz,
  p_to timestamptz, p_key timestamptz, p_id bigint, p_limit int, p_scan int)
RETURNS TABLE (${JOB_COLUMNS}, reason text, dlq_at timestamptz, edge_key timestamptz, edge_id bigint) LANGUAGE plpgsql STABLE
${PLAN_BY_INDEX} AS $awa$
#variable_conflict use_column
DECLARE
  v_lanes int[] := ARRAY(SELECT l.lane_id FROM ${s}.queue_lanes l WHERE p_queue IS NULL OR l.queue = p_queue);
  v_key timestamptz := coalesce(p_key, ${firstKey});
  v_id bigint := coalesce(p_id, ${firstId});
BEGIN
  IF p_ids IS NOT NULL THEN
    RETURN QUERY
    SELECT ${answer}, w.dlq_at, NULL::timestamptz, NULL::bigint
    FROM ${s}.dlq_entries w JOIN ${s}.queue_lanes l ON l.lane_id = w.lane_id
    WHERE w.job_id = ANY (p_ids) AND w.lane_id = ANY (v_lanes) AND ${FILTER}
    ORDER BY ${walk.order('w')};
    RETURN;
  END IF;
  RETURN QUERY
  WITH ${walk.ctes}, page AS MATERIALIZED (
    SELECT ${answer}, w.dlq_at
    FROM walked w JOIN ${s}.queue_lanes l ON l.lane_id = w.lane_id
    WHERE ${walk.usable} AND ${FILTER}
    ORDER BY ${walk.order('w')} LIMIT p_limit
  )
  SELECT p.*, g.dlq_at, g.job_id FROM generate_series(1, 1) LEFT JOIN page p ON true LEFT JOIN edge g ON true
  ORDER BY ${walk.order('p')};
END $awa$`;
}

/** Failed jobs that are not dead letters: by id, or page by page in the order of job_id, oldest first. */
function walkFailed(s: string): string {
  const walk = laneWalk({
    table: `${s}.done_entries`,
    columns: 'e.kind, e.payload, e.finalized_at',
    state: "'failed'",
    direction: 'ASC',
  });
  const filter = `(p_kind IS NULL OR w.kind = p_kind) AND (p_tag IS NULL OR w.payload->'tags' ? p_tag)
      AND (p_from IS NULL OR w.finalized_at >= p_from) AND (p_to IS NULL OR w.finalized_at < p_to)`;
  return `CREATE FUNCTION ${s}.walk_failed_jobs(p_ids bigint[], p_queue text, p_kind text, p_tag text, p_from timestamptz,
  p_to timestamptz, p_id bigint, p_limit int, p_scan int)
RETURNS TABLE (job_id bigint, edge_id bigint) LANGUAGE plpgsql STABLE
${PLAN_BY_INDEX} AS $awa$
#variable_conflict use_column
DECLARE
  v_lanes int[] := ARRAY(SELECT l.lane_id FROM ${s}.queue_lanes l WHERE p_queue IS NULL OR l.queue = p_queue);
  v_id bigint := coalesce(p_id, 0);
BEGIN
  IF p_ids IS NOT NULL THEN
    RETURN QUERY
    SELECT w.job_id, NULL::bigint FROM ${s}.done_entries w
    WHERE w.job_id = ANY (p_ids) AND w.state = 'failed' AND w.lane_id = ANY (v_lanes) AND ${filter}
    ORDER BY w.job_id;
    RETURN;
  END IF;
  RETURN QUERY
  WITH ${walk.ctes}, page AS MATERIALIZED (
    SELECT w.job_id FROM walked w WHERE ${walk.usable} AND ${filter} ORDER BY ${walk.order('w')} LIMIT p_limit
  )
  SELECT p.job_id, g.job_id FROM generate_series(1, 1) LEFT JOIN page p ON true LEFT JOIN edge g ON true ORDER BY p.job_id;
END $awa$`;
}
