import { PLAN_BY_INDEX } from './plan-settings.js';

/**
 * cancel_unique_job: cancels the job that has a unique key, in the caller's transaction; with a period, the key of the window that the
 * database's clock is in. Answers what cancel_jobs does, and no row when no job has the key.
 *
 * The key is read, not locked: who takes or frees it is not waited for. The holder may therefore end, and another job get the key,
 * before the cancel has its locks. It finds the holder ended then, the key is looked up again, and the next holder is cancelled. So
 * when this answers, either a job was cancelled while it had the key, or the last look found the key with an ended job or free.
 *
 * Locks: those of cancel_jobs.
 */
export const cancelUniqueJob = (s: string): string[] => [
  `CREATE FUNCTION ${s}.cancel_unique_job(p_key bytea, p_period_ms bigint, p_reason text)
RETURNS TABLE (job_id bigint, result text, was_running boolean) LANGUAGE plpgsql
${PLAN_BY_INDEX} AS $awa$
DECLARE
  v_key bytea := p_key || coalesce(int8send(floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint / p_period_ms), '');
  v_holder bigint;
BEGIN
  PERFORM ${s}.require_read_committed();
  FOR v_round IN 1..20 LOOP
    SELECT c.job_id INTO v_holder FROM ${s}.job_unique_claims c WHERE c.unique_key = v_key;
    IF v_holder IS NULL OR v_holder = cancel_unique_job.job_id THEN
      -- Free, or with the job that the round before found ended. Of one that ended in between, that is the answer.
      EXIT;
    END IF;
    SELECT c.job_id, c.result, c.was_running INTO cancel_unique_job.job_id, cancel_unique_job.result, cancel_unique_job.was_running
    FROM ${s}.cancel_jobs(ARRAY[v_holder], p_reason) c;
    EXIT WHEN cancel_unique_job.result = 'cancelled';
    IF v_round = 20 THEN
      RAISE EXCEPTION 'the unique key keeps moving from job to job: try again' USING ERRCODE = 'AW005';
    END IF;
  END LOOP;
  IF cancel_unique_job.job_id IS NOT NULL THEN
    RETURN NEXT;
  END IF;
END $awa$`,
];
