import { OWN_NAMES } from './plan-settings.js';

/**
 * Ending the attempts of others: of processes that are gone (take_over_attempts), and those that have run out of time. Both go
 * through the claims in the order of their keys, a page at a time, so that what cannot be ended is gone past.
 */
export const rescue = (s: string): string[] => [
  /*
   * settle_attempts for attempts that nobody stands for any more, all with one outcome. One that cannot be settled (its payload is
   * damaged, somebody wrote to the tables) must not keep the others from it: the list is halved until it stands alone, and it is
   * answered as refused; ended are the jobs of the others. What is not the fault of one row, such as a lock time-out or a full disk, is raised.
   */
  `CREATE FUNCTION ${s}.settle_taken(
  p_lane_ids int[], p_claim_seqs bigint[], p_items smallint[], p_job_ids bigint[], p_run_leases int[],
  p_outcome text, p_errors text[], p_delay_ms double precision, OUT settled int, OUT refused text[], OUT ended bigint[]
) LANGUAGE plpgsql
${OWN_NAMES} AS $awa$
DECLARE
  v_count int := cardinality(p_items);
  v_lo int := 1;
  v_hi int;
  v_half record;
BEGIN
  settled := 0;
  refused := '{}';
  ended := '{}';
  BEGIN
    SELECT count(*)::int, coalesce(array_agg(p_job_ids[t.ord]), '{}') INTO settled, ended FROM ${s}.settle_attempts(
      p_lane_ids, p_claim_seqs, p_items, p_job_ids, p_run_leases,
      array_fill(p_outcome, ARRAY[v_count]), p_errors, array_fill(p_delay_ms, ARRAY[v_count])) t;
    RETURN;
  EXCEPTION WHEN OTHERS THEN
    IF SQLSTATE ~ '^(25|40|42|53|54|55|57|58|AW)' THEN
      RAISE;
    END IF;
    IF v_count = 1 THEN
      refused := ARRAY[format('job %s: %s', p_job_ids[1], SQLERRM)];
      RETURN;
    END IF;
  END;
  FOREACH v_hi IN ARRAY ARRAY[v_count / 2, v_count] LOOP
    SELECT * INTO v_half FROM ${s}.settle_taken(
      p_lane_ids[v_lo:v_hi], p_claim_seqs[v_lo:v_hi], p_items[v_lo:v_hi], p_job_ids[v_lo:v_hi], p_run_leases[v_lo:v_hi],
      p_outcome, p_errors[v_lo:v_hi], p_delay_ms);
    settled := settled + v_half.settled;
    refused := refused || v_half.refused;
    ended := ended || v_half.ended;
    v_lo := v_hi + 1;
  END LOOP;
END $awa$`,

  /*
   * The backstop of the time-outs: ends attempts whose process lives, but has not ended them itself p_grace_ms after their time was
   * over, because it hangs. What the time-outs are, each process says of itself when it registers; a kind's goes before its
   * queue's. An attempt without a time-out may take for ever.
   *
   * As with the judgement of processes, a time in which nobody could have reached the server does not count.
   *
   * Locks: the claims, SKIP LOCKED. Reads the claims that have been open for longer than the shortest time-out of their process.
   */
  `CREATE FUNCTION ${s}.settle_overdue(
  p_contact_ms double precision, p_grace_ms double precision, p_limit int, p_after_lane int DEFAULT 0, p_after_seq bigint DEFAULT 0,
  OUT attempts int, OUT refused text[], OUT last_lane int, OUT last_seq bigint
) LANGUAGE plpgsql
${OWN_NAMES} AS $awa$
#variable_conflict use_column
DECLARE
  v_grace interval := p_grace_ms * interval '1 millisecond';
  v_late record;
BEGIN
  attempts := 0;
  refused := '{}';
  IF greatest(pg_postmaster_start_time(), clock_timestamp() - p_contact_ms * interval '1 millisecond') > clock_timestamp() - v_grace THEN
    RETURN;
  END IF;

  WITH limits AS MATERIALIZED (
    SELECT i.instance_id, i.timeouts, (
      SELECT min(t.value::double precision) FROM (VALUES (i.timeouts->'kinds'), (i.timeouts->'queues')) AS of(timeouts)
      CROSS JOIN LATERAL jsonb_each_text(of.timeouts) t WHERE t.value <> '0'
    ) AS least_ms
    FROM ${s}.runtime_instances i WHERE i.timeouts IS NOT NULL
  ), old AS MATERIALIZED (
    SELECT c.lane_id, c.claim_seq, c.claimed_at, c.job_ids, c.run_leases, l.timeouts, ARRAY(
      SELECT unnest(x.items) FROM ${s}.lease_claim_closures x WHERE x.lane_id = c.lane_id AND x.claim_seq = c.claim_seq
    ) AS closed_items
    FROM ${s}.lease_claims c JOIN limits l ON l.instance_id = c.instance_id
    WHERE c.claimed_at < clock_timestamp() - v_grace - l.least_ms * interval '1 millisecond'
      AND (c.lane_id, c.claim_seq) > (p_after_lane, p_after_seq)
  ), late AS MATERIALIZED (
    SELECT o.lane_id, o.claim_seq, i.item::smallint AS item, i.job_id, i.run_lease, t.ms
    FROM old o
    JOIN ${s}.queue_lanes l ON l.lane_id = o.lane_id
    CROSS JOIN LATERAL unnest(o.job_ids, o.run_leases) WITH ORDINALITY AS i(job_id, run_lease, item)
    JOIN ${s}.ready_entries e ON e.job_id = i.job_id AND e.run_lease = i.run_lease - 1
    CROSS JOIN LATERAL (
      SELECT nullif(coalesce(o.timeouts->'kinds'->>e.kind, o.timeouts->'queues'->>l.queue)::double precision, 0) AS ms
    ) t
    WHERE cardinality(o.closed_items) < cardinality(o.job_ids) AND i.item <> ALL (o.closed_items)
      AND o.claimed_at < clock_timestamp() - v_grace - t.ms * interval '1 millisecond'
    ORDER BY o.lane_id, o.claim_seq, i.item
    LIMIT p_limit
  ), locked AS MATERIALIZED (
    SELECT c.lane_id, c.claim_seq FROM ${s}.lease_claims c
    JOIN (SELECT DISTINCT d.lane_id, d.claim_seq FROM late d) k ON c.lane_id = k.lane_id AND c.claim_seq = k.claim_seq
    ORDER BY c.lane_id, c.claim_seq
    FOR UPDATE OF c SKIP LOCKED
  )
  SELECT array_agg(d.lane_id) AS lane_ids, array_agg(d.claim_seq) AS claim_seqs, array_agg(d.item) AS items,
    array_agg(d.job_id) AS job_ids, array_agg(d.run_lease) AS run_leases,
    array_agg(format('the attempt did not end within its time-out of %s ms', d.ms)) AS errors,
    -- Also of a page on which everything is locked.
    (SELECT ARRAY[e.lane_id, e.claim_seq] FROM late e ORDER BY e.lane_id DESC, e.claim_seq DESC LIMIT 1) AS last
  INTO v_late
  FROM (SELECT * FROM late d JOIN locked k USING (lane_id, claim_seq) ORDER BY d.lane_id, d.claim_seq, d.item) d;
  last_lane := v_late.last[1];
  last_seq := v_late.last[2];
  IF v_late.items IS NULL THEN
    RETURN;
  END IF;

  SELECT t.settled, t.refused INTO attempts, refused FROM ${s}.settle_taken(
    v_late.lane_ids, v_late.claim_seqs, v_late.items, v_late.job_ids, v_late.run_leases, 'timed_out', v_late.errors, NULL) t;
END $awa$`,
];
