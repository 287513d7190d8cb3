import { OWN_NAMES } from './plan-settings.js';

/**
 * The lanes that a claim goes through, and in which turn: of each queue the most urgent first (priority-aging.ts), and of the equally
 * urgent the one that waits longest. Shards come first by turns, so that none waits for the others to be empty.
 *
 * Whoever knows that a queue has jobs in one priority only (p_priorities) is spared the look at the heads of all lanes, which is a
 * third of what a claim of a few jobs costs. The lanes of that priority are then given whether they have jobs or not.
 */
export const lanesInTurn = (s: string): string[] => [
  // as_old_as: of this lane only the rows as old as that, whose priority has grown; NULL: all. How to plan is claim_jobs' to say.
  `CREATE FUNCTION ${s}.lanes_in_turn(p_queues text[], p_limits int[], p_priorities int[], p_drain boolean)
RETURNS TABLE (turn bigint, queue_no int, lane_id int, priority smallint, as_old_as timestamptz) LANGUAGE plpgsql STABLE
${OWN_NAMES} AS $awa$
#variable_conflict use_column
DECLARE
  v_looked_at timestamptz := clock_timestamp();
  v_shuffle bigint := (random() * 1e18)::bigint;
BEGIN
  IF 0 <> ALL (p_priorities) THEN
    RETURN QUERY
    SELECT row_number() OVER (PARTITION BY w.queue_no ORDER BY hashint4extended(l.shard, v_shuffle)),
      w.queue_no::int, l.lane_id, l.priority, NULL::timestamptz
    FROM unnest(p_queues, p_limits, p_priorities) WITH ORDINALITY AS w(queue, max_jobs, priority, queue_no)
    JOIN ${s}.queues q ON q.name = w.queue AND (q.paused_at IS NULL OR p_drain)
    JOIN ${s}.queue_lanes l ON l.queue = w.queue AND l.priority = w.priority
    WHERE w.max_jobs > 0;
    RETURN;
  END IF;

  RETURN QUERY
  SELECT
    row_number() OVER (PARTITION BY w.queue_no ORDER BY turn.priority, hashint4extended(l.shard, v_shuffle), head.run_at, l.priority),
    w.queue_no::int, l.lane_id, l.priority,
    -- Whoever is as old has grown into the same priority. NULL: everybody, also when nobody more urgent waits.
    CASE WHEN turn.priority < l.priority AND min(l.priority) OVER (PARTITION BY w.queue_no) < l.priority
      THEN v_looked_at - (l.priority - turn.priority) * q.aging_ms * interval '1 millisecond' END
  FROM unnest(p_queues, p_limits, p_priorities) WITH ORDINALITY AS w(queue, max_jobs, priority, queue_no)
  JOIN ${s}.queues q ON q.name = w.queue AND (q.paused_at IS NULL OR p_drain)
  JOIN ${s}.queue_lanes l ON l.queue = w.queue AND w.priority IN (0, l.priority)
  CROSS JOIN LATERAL ${s}.lane_head(l.lane_id) head
  -- A lane that has aged stands in line twice.
  CROSS JOIN LATERAL (
    SELECT l.priority::int AS priority
    UNION
    SELECT ${s}.aged_priority(l.priority, head.run_at, q.aging_ms, v_looked_at)
  ) turn
  WHERE w.max_jobs > 0;
END $awa$`,
];
