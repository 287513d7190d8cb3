import { OWN_NAMES, PLAN_BY_INDEX } from './plan-settings.js';
import { DUE_SOON, dueChannel } from './promote-deferred.js';

/**
 * enqueue_jobs: inserts jobs in the caller's transaction, in the order given, and returns their ids in that order.
 *
 * Takes no lock that another enqueuing transaction could wait for: ids come from a sequence, lanes are only read, rows
 * go to the slot that is written now. A queue that was never registered is an error (SQLSTATE AW001).
 * enqueue_keyed_jobs is the same for enqueue_unique_jobs, which has taken the keys under these ids; whoever may only enqueue cannot call
 * it, and so cannot pass for another job. Both act as the owner: the right to call enqueue_jobs is all that an enqueue takes.
 * The wake-up is a NOTIFY with the queue's name and the priority, a line each, or to the leader where a job is due soon: Postgres sends equal ones of a transaction once.
 */
export const enqueueJobs = (s: string, channel: string): string[] => [
  `CREATE FUNCTION ${s}.unknown_lane(p_queue text, p_priority int) RETURNS int LANGUAGE plpgsql
${OWN_NAMES} AS $awa$
BEGIN
  RAISE EXCEPTION 'queue "%" with priority % is not registered', p_queue, p_priority
    USING ERRCODE = 'AW001', HINT = 'Register the queue first: register_queues(ARRAY[name]), or list it in the module options.';
END $awa$`,

  ...[false, true].map(
    (keyed) => `CREATE FUNCTION ${s}.${keyed ? 'enqueue_keyed_jobs' : 'enqueue_jobs'}(
  p_queues text[], p_priorities int[], p_kinds text[], p_args text[], p_max_attempts int[],
  p_run_ats timestamptz[], p_delays_ms double precision[], p_payloads text[], p_ordering_keys text[]${keyed ? ', p_job_ids bigint[], p_unique_keys bytea[]' : ''}
) RETURNS SETOF bigint LANGUAGE plpgsql SECURITY DEFINER
${PLAN_BY_INDEX} AS $awa$
DECLARE${keyed ? '' : '\n  p_job_ids CONSTANT bigint[] := NULL;\n  p_unique_keys CONSTANT bytea[] := NULL;'}
  v_now timestamptz := clock_timestamp();
  v_slot smallint := ${s}.current_slot('ready');
  v_turn bigint;
BEGIN
  -- One number a batch, not a row, and none for queues without shards.
  IF EXISTS (SELECT FROM ${s}.queues q WHERE q.shards > 1 AND q.name = ANY (p_queues)) THEN
    v_turn := nextval('${s}.shard_rotor'::regclass);
  END IF;
  RETURN QUERY
  WITH input AS MATERIALIZED (
    SELECT coalesce(i.id, nextval('${s}.job_ids'::regclass)) AS job_id, i.*
    FROM unnest(p_queues, p_priorities, p_kinds, p_args, p_max_attempts, p_run_ats, p_delays_ms, p_payloads,
      p_ordering_keys, p_job_ids, p_unique_keys)
      WITH ORDINALITY AS i(queue, priority, kind, args, max_attempts, run_at, delay_ms, payload, ordering_key, id, unique_key, ord)
  ), placed AS MATERIALIZED (
    SELECT i.*, coalesce(l.lane_id, ${s}.unknown_lane(i.queue, i.priority)) AS lane_id,
      coalesce(i.run_at, v_now + i.delay_ms * interval '1 millisecond', v_now) AS due_at
    FROM input i
    LEFT JOIN ${s}.queue_lanes l ON l.queue = i.queue AND l.priority = i.priority
      AND l.shard = CASE WHEN v_turn IS NULL THEN 0 ELSE ${s}.shard_for(i.queue, i.ordering_key, v_turn) END
  ), ready AS (
    INSERT INTO ${s}.ready_entries
      (job_id, run_at, created_at, lane_id, attempt, run_lease, ready_slot, max_attempts, kind, args, unique_key, payload)
    SELECT p.job_id, p.due_at, v_now, p.lane_id, 0, 0, v_slot, p.max_attempts, p.kind, p.args::json, p.unique_key, p.payload::jsonb
    FROM placed p WHERE p.due_at <= v_now ORDER BY p.ord
  ), deferred AS (
    INSERT INTO ${s}.deferred_jobs
      (job_id, run_at, created_at, lane_id, attempt, run_lease, max_attempts, state, kind, args, unique_key, payload)
    SELECT p.job_id, p.due_at, v_now, p.lane_id, 0, 0, p.max_attempts, 'scheduled', p.kind, p.args::json, p.unique_key, p.payload::jsonb
    FROM placed p WHERE p.due_at > v_now
  )
  SELECT p.job_id FROM placed p ORDER BY p.ord;

  PERFORM CASE WHEN i.priority IS NULL THEN pg_notify('${dueChannel(channel)}', '') ELSE pg_notify('${channel}', concat(i.queue, E'\\n', i.priority)) END
  FROM (
    SELECT DISTINCT CASE WHEN d.due_at <= v_now THEN d.queue END AS queue, CASE WHEN d.due_at <= v_now THEN d.priority END AS priority
    FROM (
      SELECT u.queue, u.priority, coalesce(u.run_at, v_now + u.delay_ms * interval '1 millisecond', v_now) AS due_at
      FROM unnest(p_queues, p_priorities, p_run_ats, p_delays_ms) AS u(queue, priority, run_at, delay_ms)
    ) d WHERE d.due_at < v_now + ${DUE_SOON}
  ) i;
END $awa$`,
  ),
];
