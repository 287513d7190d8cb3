import { JOB_COLUMNS } from './job-rows.js';
import { laneWalk } from './lane-walk.js';
import { PLAN_BY_INDEX } from './plan-settings.js';
import { DUE_SOON, dueChannel } from './promote-deferred.js';

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

  /*
   * Puts entries back into their queue or another one: attempts are counted anew, run_lease goes on growing. A job whose unique
   * key belongs to another job by now is cancelled instead. Answers the ids of all, and which are back.
   */
  `CREATE FUNCTION ${s}.retry_dead_letters(p_ids bigint[], p_wait boolean, p_queue text, p_priority int, p_max_attempts int,
  p_run_at timestamptz, p_delay_ms double precision) RETURNS TABLE (job_id bigint, retried boolean) LANGUAGE plpgsql
${PLAN_BY_INDEX} AS $awa$
#variable_conflict use_column
DECLARE
  v_now timestamptz := clock_timestamp();
  v_due timestamptz := coalesce(p_run_at, v_now + p_delay_ms * interval '1 millisecond', v_now);
  v_slot smallint := ${s}.current_slot('ready');
  v_done_slot smallint := ${s}.current_slot('done');
  v_unique record;
BEGIN
  IF p_wait THEN
    PERFORM FROM ${s}.dlq_entries e WHERE e.job_id = ANY (p_ids) ORDER BY e.job_id FOR UPDATE;
  END IF;
  p_ids := ARRAY(SELECT h.job_id FROM (
    SELECT e.job_id FROM ${s}.dlq_entries e WHERE e.job_id = ANY (p_ids) FOR UPDATE SKIP LOCKED) h);

  -- A key that its job still has is found with it; one that is taken anew is held until the job ends.
  SELECT array_agg(e.job_id) AS job_ids, array_agg(e.unique_key) AS keys, count(*)::int AS jobs INTO v_unique
  FROM ${s}.dlq_entries e WHERE e.job_id = ANY (p_ids) AND e.unique_key IS NOT NULL;

  RETURN QUERY
  WITH holders AS MATERIALIZED (
    SELECT h.job_id, h.holder
    FROM unnest(v_unique.job_ids, CASE WHEN v_unique.jobs > 0 THEN ${s}.take_unique_keys(v_unique.keys, v_unique.job_ids,
      array_fill(''::text, ARRAY[v_unique.jobs]), array_fill(NULL::timestamptz, ARRAY[v_unique.jobs])) END) AS h(job_id, holder)
  ), taken AS MATERIALIZED (
    DELETE FROM ${s}.dlq_entries e WHERE e.job_id = ANY (p_ids) RETURNING e.*
  ), placed AS MATERIALIZED (
    SELECT t.*, q.queue, coalesce(p_max_attempts, t.max_attempts) AS attempts, nullif(h.holder, t.job_id) AS other_holder,
      coalesce(l.lane_id, ${s}.unknown_lane(q.queue, q.priority)) AS new_lane_id
    FROM taken t
    LEFT JOIN holders h ON h.job_id = t.job_id
    JOIN ${s}.queue_lanes o ON o.lane_id = t.lane_id
    CROSS JOIN LATERAL (SELECT coalesce(p_queue, o.queue) AS queue, coalesce(p_priority, o.priority) AS priority) q
    LEFT JOIN LATERAL (
      -- The shard it was in, where there is one.
      SELECT l.lane_id FROM ${s}.queue_lanes l WHERE l.queue = q.queue AND l.priority = q.priority
      ORDER BY l.shard <> o.shard, l.shard LIMIT 1
    ) l ON true
  ), back AS MATERIALIZED (
    SELECT p.* FROM placed p WHERE p.other_holder IS NULL
  ), ready AS (
    INSERT INTO ${s}.ready_entries (job_id, run_at, created_at, lane_id, attempt, run_lease, ready_slot, max_attempts,
      kind, args, unique_key, payload)
    SELECT b.job_id, v_due, b.created_at, b.new_lane_id, 0, b.run_lease, v_slot, b.attempts, b.kind, b.args, b.unique_key, b.payload
    FROM back b WHERE v_due <= v_now ORDER BY b.dlq_at, b.job_id
  ), deferred AS (
    INSERT INTO ${s}.deferred_jobs (job_id, run_at, created_at, lane_id, attempt, run_lease, max_attempts, state,
      kind, args, unique_key, payload)
    SELECT b.job_id, v_due, b.created_at, b.new_lane_id, 0, b.run_lease, b.attempts, 'scheduled',
      b.kind, b.args, b.unique_key, b.payload
    FROM back b WHERE v_due > v_now
  ), superseded AS (
    INSERT INTO ${s}.done_entries (job_id, run_at, created_at, attempted_at, finalized_at, lane_id, attempt, run_lease,
      done_slot, max_attempts, state, kind, args, unique_key, payload)
    SELECT p.job_id, p.run_at, p.created_at, p.attempted_at, v_now, p.lane_id, p.attempt, p.run_lease, v_done_slot, p.max_attempts,
      'cancelled', p.kind, p.args, p.unique_key,
      ${s}.append_error(p.payload, p.attempt, format('cancelled: job %s holds its unique key', p.other_holder), v_now, true)
    FROM placed p WHERE p.other_holder IS NOT NULL
  ), woken AS MATERIALIZED (
    SELECT pg_notify('${channel}', q.queue) FROM (SELECT DISTINCT b.queue FROM back b WHERE v_due <= v_now) q
    UNION ALL
    SELECT pg_notify('${dueChannel(channel)}', '')
    WHERE v_due > v_now AND v_due < v_now + ${DUE_SOON} AND EXISTS (SELECT FROM back)
  )
  SELECT p.job_id, p.other_holder IS NULL FROM placed p
  -- Asks for the answer of the calls: unasked, they would not be made.
  WHERE (SELECT count(*) FROM woken) >= 0;
END $awa$`,

  // Answers the ids of the entries that it has deleted.
  `CREATE FUNCTION ${s}.purge_dead_letters(p_ids bigint[], p_wait boolean) RETURNS SETOF bigint LANGUAGE plpgsql
${PLAN_BY_INDEX} AS $awa$
DECLARE
  v_gone record;
BEGIN
  IF p_wait THEN
    PERFORM FROM ${s}.dlq_entries e WHERE e.job_id = ANY (p_ids) ORDER BY e.job_id FOR UPDATE;
  END IF;
  WITH held AS MATERIALIZED (
    SELECT e.job_id FROM ${s}.dlq_entries e WHERE e.job_id = ANY (p_ids) FOR UPDATE SKIP LOCKED
  ), gone AS (
    DELETE FROM ${s}.dlq_entries e USING held h WHERE e.job_id = h.job_id RETURNING e.job_id, e.unique_key
  )
  SELECT array_agg(g.job_id) AS job_ids, array_agg(g.unique_key) AS keys INTO v_gone FROM gone g;
  PERFORM ${s}.end_unique_keys(v_gone.keys, v_gone.job_ids, 'purged', NULL) WHERE array_remove(v_gone.keys, NULL) <> '{}';
  RETURN QUERY SELECT unnest(v_gone.job_ids);
END $awa$`,

  // Deletes what is older than its queue keeps it, at most p_limit. Any number of processes may do it at once.
  `CREATE FUNCTION ${s}.purge_expired_dead_letters(p_limit int) RETURNS int LANGUAGE plpgsql
${PLAN_BY_INDEX} AS $awa$
DECLARE
  v_now timestamptz := clock_timestamp();
BEGIN
  RETURN (SELECT count(*)::int FROM ${s}.purge_dead_letters(ARRAY(
    SELECT x.job_id FROM ${s}.queue_lanes l
    JOIN ${s}.queues q ON q.name = l.queue
    CROSS JOIN LATERAL (
      SELECT e.job_id FROM ${s}.dlq_entries e
      WHERE e.lane_id = l.lane_id AND e.dlq_at < v_now - coalesce(q.dead_letter_retention, ${DEFAULT_RETENTION})
      ORDER BY e.dlq_at, e.job_id LIMIT p_limit FOR UPDATE SKIP LOCKED
    ) x
    LIMIT p_limit
  ), false));
END $awa$`,

  walkFailed(s),

  // Makes dead letters of failed jobs, for an operator's reason; a key that was to go with the record stays. Answers their ids.
  // With the rights of the owner: nobody else may delete what is only appended to.
  `CREATE FUNCTION ${s}.move_failed_to_dlq(p_ids bigint[], p_reason text) RETURNS SETOF bigint
LANGUAGE plpgsql SECURITY DEFINER
${PLAN_BY_INDEX} AS $awa$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_moved record;
BEGIN
  WITH held AS MATERIALIZED (
    SELECT d.done_slot, d.job_id, d.run_lease FROM ${s}.done_entries d
    WHERE d.job_id = ANY (p_ids) AND d.state = 'failed' FOR UPDATE SKIP LOCKED
  ), taken AS MATERIALIZED (
    DELETE FROM ${s}.done_entries d USING held h
    WHERE d.done_slot = h.done_slot AND d.job_id = h.job_id AND d.run_lease = h.run_lease RETURNING d.*
  ), dead AS (
    INSERT INTO ${s}.dlq_entries (job_id, run_at, created_at, attempted_at, finalized_at, dlq_at, lane_id, attempt, run_lease,
      max_attempts, reason, kind, args, unique_key, payload)
    SELECT t.job_id, t.run_at, t.created_at, t.attempted_at, t.finalized_at, v_now, t.lane_id, t.attempt, t.run_lease,
      t.max_attempts, p_reason, t.kind, t.args, t.unique_key, t.payload
    FROM taken t
  )
  SELECT array_agg(t.job_id) AS job_ids, array_agg(t.unique_key) AS keys INTO v_moved FROM taken t;
  PERFORM ${s}.end_unique_keys(v_moved.keys, v_moved.job_ids, 'failed', NULL) WHERE array_remove(v_moved.keys, NULL) <> '{}';
  RETURN QUERY SELECT unnest(v_moved.job_ids);
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
