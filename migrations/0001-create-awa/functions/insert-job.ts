import { MAX_ARGS_BYTES, MAX_DELAY_MS, MAX_METADATA_BYTES } from './job-rules.js';
import { OWN_NAMES } from './plan-settings.js';

/**
 * insert_job: enqueues one job in the caller's transaction, from any language and from triggers. It is public API (docs/sql-api.md):
 * parameters are never renamed, reordered or removed; new ones come last, with a default.
 *
 * The same rules as QueueService's, and everything that is wrong in one error (SQLSTATE AW010) before anything is written. NULL is as good
 * as left out, except for the kind and the arguments. Acts as the owner, so that whoever may call it needs no right on a table.
 *
 * Locks: none, or those of enqueue_unique_jobs.
 */
export const insertJob = (s: string): string[] => [
  `CREATE FUNCTION ${s}.insert_job(
  p_kind text, p_args json DEFAULT '{}', p_queue text DEFAULT 'default', p_priority int DEFAULT 2, p_max_attempts int DEFAULT 25,
  p_run_at timestamptz DEFAULT NULL, p_delay interval DEFAULT NULL, p_ordering_key text DEFAULT NULL,
  p_tags text[] DEFAULT NULL, p_metadata json DEFAULT NULL, p_unique_key text DEFAULT NULL, p_unique json DEFAULT NULL,
  OUT job_id bigint, OUT deduplicated boolean
) LANGUAGE plpgsql SECURITY DEFINER
${OWN_NAMES} AS $awa$
DECLARE
  v_queue text := coalesce(p_queue, 'default');
  v_priority int := coalesce(p_priority, 2);
  v_max_attempts int := coalesce(p_max_attempts, 25);
  v_delay_ms numeric := extract(epoch FROM p_delay) * 1000;
  v_args text := p_args::text;
  v_problems text[];
  v_metadata jsonb;
  v_unique jsonb;
  v_payload jsonb;
BEGIN
  v_problems := ARRAY[
    ${s}.name_problem('kind', p_kind),
    ${s}.name_problem('queue', v_queue),
    ${s}.json_problem('args', v_args, ${MAX_ARGS_BYTES}),
    CASE WHEN v_priority NOT BETWEEN 1 AND 4
      THEN format('priority must be 1 (most urgent), 2, 3 or 4, not %s', v_priority) END,
    CASE WHEN v_max_attempts NOT BETWEEN 1 AND 1000
      THEN format('max_attempts must be a whole number from 1 to 1000, not %s', v_max_attempts) END,
    CASE WHEN p_run_at NOT BETWEEN '0001-01-01 00:00:00+00' AND '9999-12-31 23:59:59.999+00'
      THEN 'run_at must be in the years 1 to 9999' END,
    CASE WHEN v_delay_ms NOT BETWEEN 0 AND ${MAX_DELAY_MS} THEN format('delay must be from 0 to 3650 days, not %s', p_delay) END,
    CASE WHEN p_run_at IS NOT NULL AND p_delay IS NOT NULL THEN 'pass either run_at or delay, not both' END,
    CASE WHEN p_ordering_key IS NOT NULL THEN ${s}.name_problem('ordering_key', p_ordering_key) END]
    || coalesce(${s}.tags_problems(p_tags), '{}');

  IF p_metadata IS NOT NULL THEN
    v_problems := v_problems || ${s}.json_problem('metadata', p_metadata::text, ${MAX_METADATA_BYTES});
    BEGIN
      v_metadata := p_metadata;
      v_problems := v_problems || ${s}.metadata_problems(v_metadata);
    EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
      v_problems := v_problems || format('metadata cannot be stored (%s)', SQLERRM);
    END;
  END IF;

  IF p_unique IS NOT NULL OR p_unique_key IS NOT NULL THEN
    BEGIN
      v_unique := coalesce(p_unique, '{}');
      v_problems := v_problems || ${s}.unique_problems(v_unique)
        || CASE WHEN p_unique_key = '' THEN 'unique_key must not be empty' END
        || CASE WHEN p_unique_key IS NOT NULL AND v_unique ? 'key' THEN 'pass the key either as unique_key or in unique, not both' END;
    EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
      v_problems := v_problems || format('unique cannot be read (%s)', SQLERRM);
    END;
  END IF;

  v_problems := array_remove(v_problems, NULL);
  IF cardinality(v_problems) > 0 THEN
    RAISE EXCEPTION 'insert_job() of kind "%": %', coalesce(left(p_kind, 60), 'NULL'), array_to_string(v_problems, '; ')
      USING ERRCODE = 'AW010';
  END IF;

  v_payload := CASE WHEN v_metadata <> '{}' THEN jsonb_build_object('metadata', v_metadata) ELSE '{}' END
    || CASE WHEN cardinality(p_tags) > 0 THEN jsonb_build_object('tags', (
        SELECT jsonb_agg(t.tag ORDER BY t.nth)
        FROM (SELECT u.tag, min(u.nth) AS nth FROM unnest(p_tags) WITH ORDINALITY AS u(tag, nth) GROUP BY u.tag) t
      )) ELSE '{}' END;

  IF v_unique IS NULL THEN
    deduplicated := false;
    SELECT e INTO job_id FROM ${s}.enqueue_jobs(ARRAY[v_queue], ARRAY[v_priority], ARRAY[p_kind], ARRAY[v_args], ARRAY[v_max_attempts],
      ARRAY[p_run_at], ARRAY[round(v_delay_ms)::float8], ARRAY[nullif(v_payload, '{}')::text], ARRAY[p_ordering_key]) AS e;
    RETURN;
  END IF;

  IF p_unique_key IS NOT NULL THEN
    v_unique := v_unique || jsonb_build_object('key', p_unique_key);
  END IF;
  SELECT e.job_id, e.deduplicated INTO job_id, deduplicated
  FROM ${s}.enqueue_unique_jobs(ARRAY[v_queue], ARRAY[v_priority], ARRAY[p_kind], ARRAY[v_args], ARRAY[v_max_attempts],
    ARRAY[p_run_at], ARRAY[round(v_delay_ms)::float8], ARRAY[nullif(v_payload, '{}')::text], ARRAY[p_ordering_key],
    ARRAY[${s}.unique_key_of(p_kind, v_queue, p_args, v_unique)], ARRAY[((v_unique->>'period')::numeric)::bigint],
    ARRAY[(SELECT coalesce(string_agg(DISTINCT h, ','), '') FROM jsonb_array_elements_text(v_unique->'states') AS h
      WHERE h IN ('completed', 'failed', 'cancelled'))]) e;
  IF job_id IS NULL THEN
    RAISE EXCEPTION 'the unique key of this job of kind "%" belongs to a job that is newer than the snapshot of the transaction', p_kind
      USING ERRCODE = 'serialization_failure', HINT = 'Run the transaction again, or use READ COMMITTED.';
  END IF;
END $awa$`,
];
