import { JOB_COLUMNS, jobRows, lockRings, newestJobs } from './job-rows.js';
import { laneWalk } from './lane-walk.js';
import { PLAN_BY_INDEX } from './plan-settings.js';

const PARAMETERS = `p_ids bigint[], p_state text, p_queue text, p_kind text, p_tag text, p_from timestamptz, p_to timestamptz,
  p_key text, p_id bigint, p_limit int, p_scan int`;

const ANSWER = `${JOB_COLUMNS}, key text, edge_key text, edge_id bigint`;

/** Batches of a lane that a page of completed jobs looks at. */
const BATCHES = 200;

/** Conditions on row w that no index answers. */
const filter = (w: string): string =>
  `(p_kind IS NULL OR ${w}.kind = p_kind) AND (p_tag IS NULL OR ${w}.payload->'tags' ? p_tag)
      AND (p_from IS NULL OR ${w}.created_at >= p_from) AND (p_to IS NULL OR ${w}.created_at < p_to)`;

/**
 * Lists of jobs, newest first, page by page. A call reads a bounded number of rows, however many there are: p_limit for the
 * page, p_scan for what a filter passes over. Each row carries its position, and how far the call has looked; when nothing
 * was found there is one row with only that.
 *
 * Each state has its walk, by the index that leads to it. Newest first is by id; of available jobs in the reverse order of their
 * claims, of completed ones by their completion.
 */
export const listJobs = (s: string): string[] => [
  reader(s, 'read_all', walkAll(s)),
  reader(s, 'read_deferred', walkDeferred(s)),
  reader(s, 'read_ended', walkEnded(s)),
  reader(s, 'read_available', walkAvailable(s), 'xid8', "'18446744073709551615'"),
  reader(s, 'read_running', walkRunning(s)),
  reader(
    s,
    'read_completed',
    walkCompleted(s),
    'timestamptz',
    "'infinity'",
    "timestamptz 'epoch' + p_key::bigint * interval '1 microsecond'",
  ),

  `CREATE FUNCTION ${s}.list_jobs(${PARAMETERS}) RETURNS TABLE (${ANSWER}) LANGUAGE plpgsql AS $awa$
BEGIN
  ${lockRings(s)};
  IF p_ids IS NOT NULL THEN
    RETURN QUERY
    SELECT w.*, '0', NULL, NULL::bigint
    FROM (SELECT DISTINCT i FROM unnest(p_ids) AS i) n CROSS JOIN LATERAL ${s}.read_job(n.i) w
    WHERE (p_state IS NULL OR w.state = p_state) AND (p_queue IS NULL OR w.queue = p_queue) AND ${filter('w')}
    ORDER BY w.job_id DESC;
  ${[
    ["p_state IN ('scheduled', 'retryable')", 'read_deferred'],
    ["p_state IN ('failed', 'cancelled')", 'read_ended'],
    ["p_state = 'available'", 'read_available'],
    ["p_state = 'running'", 'read_running'],
    ["p_state = 'completed'", 'read_completed'],
    ['true', 'read_all'],
  ]
    .map(
      ([condition, name]) => `ELSIF ${condition} THEN
    RETURN QUERY SELECT * FROM ${s}.${name}(p_state, p_queue, p_kind, p_tag, p_from, p_to, p_key, p_id, p_limit, p_scan);`,
    )
    .join('\n  ')}
  END IF;
END $awa$`,
];

/** The parameters of a reader, for DROP FUNCTION. */
export const READER_PARAMETERS = 'text, text, text, text, timestamptz, timestamptz, text, bigint, int, int';

function reader(
  s: string,
  name: string,
  statement: string,
  keyType = 'text',
  lastKey = "'0'",
  key = `p_key::${keyType}`,
): string {
  return `CREATE FUNCTION ${s}.${name}(${PARAMETERS.replace('p_ids bigint[], ', '')}) RETURNS TABLE (${ANSWER}) LANGUAGE plpgsql STABLE
${PLAN_BY_INDEX} AS $awa$
#variable_conflict use_column
DECLARE
  v_lanes int[] := ARRAY(SELECT l.lane_id FROM ${s}.queue_lanes l WHERE p_queue IS NULL OR l.queue = p_queue);
  v_key ${keyType} := coalesce(${key}, ${lastKey});
  v_id bigint := coalesce(p_id, 9223372036854775807);
BEGIN
  RETURN QUERY ${statement};
END $awa$`;
}

/** The page, and the edge beside it even when there is no page. */
const withEdge = (order: string, edgeKey = "'0'"): string =>
  `SELECT p.*, ${edgeKey}, g.job_id FROM generate_series(1, 1) LEFT JOIN page p ON true LEFT JOIN edge g ON true ORDER BY ${order}`;

/** Jobs in any state: rows that may stand for a job, of all tables, by id; of each job the newest. */
function walkAll(s: string): string {
  const tail = 'WHERE e.job_id < v_id ORDER BY e.job_id DESC, e.run_lease DESC LIMIT p_scan';
  return `WITH walked AS MATERIALIZED (
    SELECT c.* FROM (${jobRows(s, tail)}) c ORDER BY c.job_id DESC, c.run_lease DESC, c.rank DESC LIMIT p_scan
  ), edge AS MATERIALIZED (
    SELECT min(w.job_id) AS job_id FROM walked w HAVING count(*) = p_scan
  ), page AS MATERIALIZED (
    ${newestJobs(s, 'SELECT * FROM walked', `(p_queue IS NULL OR j.lane_id = ANY (v_lanes)) AND ${filter('j')}`)}
    ORDER BY j.job_id DESC LIMIT p_limit
  )
  SELECT p.*, '0', '0', g.job_id FROM generate_series(1, 1) LEFT JOIN page p ON true LEFT JOIN edge g ON true
  ORDER BY p.job_id DESC`;
}

const BODY = 'e.kind, e.attempt, e.max_attempts, e.run_lease, e.run_at, e.created_at, e.args, e.payload';

/** JOB_COLUMNS of rows w with their lane l. */
const jobOf = (
  state: string,
  attemptedAt: string,
  finalizedAt: string,
  deadLetter = 'false',
  claimed = 0,
): string =>
  `w.job_id, w.kind, l.queue, l.priority, ${state} AS state, w.attempt + ${claimed} AS attempt, w.max_attempts::int AS max_attempts,
      w.run_lease + ${claimed} AS run_lease, w.run_at, w.created_at, ${attemptedAt} AS attempted_at, ${finalizedAt} AS finalized_at,
      w.args, w.payload, ${deadLetter} AS dead_letter`;

const NEVER = 'NULL::timestamptz';

function walkDeferred(s: string): string {
  const walk = laneWalk({
    table: `${s}.deferred_jobs`,
    columns: BODY,
    state: 'p_state',
    direction: 'DESC',
  });
  return `WITH ${walk.ctes}, page AS MATERIALIZED (
    SELECT ${jobOf('p_state', NEVER, NEVER)}, '0'
    FROM walked w JOIN ${s}.queue_lanes l ON l.lane_id = w.lane_id
    WHERE ${walk.usable} AND ${filter('w')}
    ORDER BY ${walk.order('w')} LIMIT p_limit
  )
  ${withEdge('p.job_id DESC')}`;
}

/** Failed jobs are in two tables. Of the dead letters, p_scan are read whatever their lane. */
function walkEnded(s: string): string {
  const walk = laneWalk({
    table: `${s}.done_entries`,
    columns: `${BODY}, e.attempted_at, e.finalized_at, false AS dead_letter`,
    state: 'p_state',
    direction: 'DESC',
  });
  return `WITH ${walk.ctes.replace('edge AS', 'done_edge AS')}, dead AS MATERIALIZED (
    SELECT e.lane_id, e.job_id, ${BODY}, e.attempted_at, e.finalized_at, true AS dead_letter FROM ${s}.dlq_entries e
    WHERE p_state = 'failed' AND e.job_id < v_id ORDER BY e.job_id DESC LIMIT p_scan
  ), edge AS MATERIALIZED (
    SELECT max(b.job_id) AS job_id FROM (
      SELECT d.job_id FROM done_edge d
      UNION ALL
      SELECT min(d.job_id) FROM dead d HAVING count(*) = p_scan
    ) b HAVING count(*) > 0
  ), page AS MATERIALIZED (
    SELECT ${jobOf('p_state', 'w.attempted_at', 'w.finalized_at', 'w.dead_letter')}, '0'
    FROM (SELECT * FROM walked UNION ALL SELECT * FROM dead) w JOIN ${s}.queue_lanes l ON l.lane_id = w.lane_id
    WHERE ${walk.usable} AND w.lane_id = ANY (v_lanes) AND ${filter('w')}
    ORDER BY ${walk.order('w')} LIMIT p_limit
  )
  ${withEdge('p.job_id DESC')}`;
}

function walkAvailable(s: string): string {
  const walk = laneWalk({
    table: `${s}.ready_entries`,
    columns: `${BODY}, e.ready_slot`,
    key: 'enqueue_xid',
    ranges: {
      from: `${s}.unclaimed_ranges(n.lane_id, pg_current_snapshot())`,
      condition: `(e.enqueue_xid, e.job_id) > (g.lo_xid, g.lo_job_id) AND e.enqueue_xid < g.hi_xid`,
    },
    direction: 'DESC',
  });
  return `WITH ${walk.ctes}, page AS MATERIALIZED (
    SELECT ${jobOf("'available'", NEVER, NEVER)}, w.enqueue_xid::text AS key, w.enqueue_xid
    FROM walked w JOIN ${s}.queue_lanes l ON l.lane_id = w.lane_id
    WHERE ${walk.usable} AND ${filter('w')} AND NOT EXISTS (SELECT FROM ${s}.ready_tombstones t
      WHERE t.ready_slot = w.ready_slot AND t.job_id = w.job_id AND t.run_lease = w.run_lease)
    ORDER BY ${walk.order('w')} LIMIT p_limit
  )
  ${orderedBy('enqueue_xid', 'g.enqueue_xid::text')}`;
}

/** All open attempts are looked at: there are no more of them than workers. */
function walkRunning(s: string): string {
  const job = jobOf("'running'", 'c.claimed_at', NEVER, 'false', 1).replace(
    'w.payload',
    `${s}.payload_now(w.payload, 'running', w.job_id, w.run_lease + 1)`,
  );
  return `SELECT ${job}, '0', NULL, NULL::bigint
  FROM ${s}.open_attempts() o
  JOIN ${s}.lease_claims c ON c.claim_slot = o.claim_slot AND c.lane_id = o.lane_id AND c.claim_seq = o.claim_seq
  JOIN ${s}.ready_entries w ON w.job_id = o.job_id AND w.run_lease = o.run_lease - 1
  JOIN ${s}.queue_lanes l ON l.lane_id = w.lane_id
  WHERE w.job_id < v_id AND w.lane_id = ANY (v_lanes) AND ${filter('w')}
  ORDER BY w.job_id DESC LIMIT p_limit`;
}

/**
 * Batches of each lane, newest first, and of them as many as hold about p_scan jobs. What was completed in one moment is read as a
 * whole, so an edge is between moments.
 */
function walkCompleted(s: string): string {
  return `WITH walked AS MATERIALIZED (
    SELECT b.* FROM unnest(v_lanes) AS n(lane_id) CROSS JOIN LATERAL (
      SELECT b.lane_id, b.ready_slot, b.completed_at, b.attempted_at, b.job_ids FROM ${s}.completion_batches b
      -- Behind an edge, which has no id, its moment is over.
      WHERE b.lane_id = n.lane_id AND b.completed_at <= CASE v_id WHEN 0 THEN v_key - interval '1 microsecond' ELSE v_key END
      ORDER BY b.completed_at DESC FETCH FIRST ${BATCHES} ROWS WITH TIES
    ) b
  ), lane_edge AS MATERIALIZED (
    SELECT max(e.completed_at) AS completed_at FROM (
      SELECT min(w.completed_at) AS completed_at FROM walked w GROUP BY w.lane_id HAVING count(*) >= ${BATCHES}
    ) e
  ), summed AS MATERIALIZED (
    SELECT w.*, sum(cardinality(w.job_ids)) OVER (ORDER BY w.completed_at DESC RANGE UNBOUNDED PRECEDING)
      - sum(cardinality(w.job_ids)) OVER (PARTITION BY w.completed_at) AS before
    FROM walked w, lane_edge e WHERE e.completed_at IS NULL OR w.completed_at >= e.completed_at
  ), edge AS MATERIALIZED (
    SELECT coalesce(min(b.completed_at) FILTER (WHERE b.is_over), e.completed_at) AS completed_at, 0::bigint AS job_id
    FROM lane_edge e LEFT JOIN (
      SELECT min(k.completed_at) FILTER (WHERE k.before < p_scan + 512) AS completed_at, bool_or(k.before >= p_scan + 512) AS is_over
      FROM summed k
    ) b ON true
    GROUP BY e.completed_at
    HAVING coalesce(min(b.completed_at) FILTER (WHERE b.is_over), e.completed_at) IS NOT NULL
  ), page AS MATERIALIZED (
    SELECT ${jobOf("'completed'", 'w.attempted_at', 'w.completed_at', 'false', 1)},
      (extract(epoch FROM w.completed_at) * 1000000)::bigint::text AS key, w.completed_at
    FROM (
      SELECT k.completed_at, k.attempted_at, e.*
      FROM summed k CROSS JOIN LATERAL unnest(k.job_ids) AS i(job_id)
      CROSS JOIN LATERAL (
        SELECT e.lane_id, e.job_id, ${BODY} FROM ${s}.ready_entries e
        WHERE e.ready_slot = k.ready_slot AND e.job_id = i.job_id ORDER BY e.run_lease DESC LIMIT 1
      ) e
      WHERE k.before < p_scan + 512 AND (k.completed_at, i.job_id) < (v_key, v_id)
      ORDER BY k.completed_at DESC, i.job_id DESC
    ) w JOIN ${s}.queue_lanes l ON l.lane_id = w.lane_id
    WHERE ${filter('w')}
    ORDER BY w.completed_at DESC, w.job_id DESC LIMIT p_limit
  )
  ${orderedBy('completed_at', '(extract(epoch FROM g.completed_at) * 1000000)::bigint::text')}`;
}

/** As {@link withEdge}, of a page that has the column to order by behind the columns of the answer. */
function orderedBy(column: string, edgeKey: string): string {
  const columns = `${JOB_COLUMNS}, key text`.split(',').map((item) => `p.${item.trim().split(' ')[0]}`);
  return `SELECT ${columns.join(', ')}, ${edgeKey}, g.job_id
  FROM generate_series(1, 1) LEFT JOIN page p ON true LEFT JOIN edge g ON true ORDER BY p.${column} DESC, p.job_id DESC`;
}
