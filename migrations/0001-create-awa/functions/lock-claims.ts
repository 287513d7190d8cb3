import { PLAN_BY_INDEX } from './plan-settings.js';

/**
 * Locks claims, wherever in the ring they lie now, for whoever ends attempts or writes about them. A lock writes no new row version.
 *
 * Transactions of applications wait for each other. The worker's own statements do not: behind them the claims and heartbeats of the
 * process stand in line, and a claim can be locked for as long as an application's transaction takes (cancel_jobs, and completions
 * within it).
 *
 * Locks: the claim rows, FOR UPDATE, in (lane_id, claim_seq) order, until the transaction ends; without p_wait those that nobody else
 * has locked.
 */
export const lockClaims = (s: string): string[] => [
  // The lanes as they were given, with NULL for those of claims that are busy.
  `CREATE FUNCTION ${s}.lock_claims(p_lane_ids int[], p_claim_seqs bigint[], p_wait boolean) RETURNS int[] LANGUAGE plpgsql
${PLAN_BY_INDEX} AS $awa$
DECLARE
  v_locked int[];
BEGIN
  PERFORM ${s}.require_read_committed();
  IF p_wait THEN
    PERFORM FROM ${s}.lease_claims c
    JOIN (SELECT DISTINCT * FROM unnest(p_lane_ids, p_claim_seqs)) AS k(lane_id, claim_seq)
      ON c.lane_id = k.lane_id AND c.claim_seq = k.claim_seq
    ORDER BY c.lane_id, c.claim_seq
    FOR UPDATE OF c;
    RETURN p_lane_ids;
  END IF;

  WITH locked AS MATERIALIZED (
    SELECT c.lane_id, c.claim_seq FROM ${s}.lease_claims c
    JOIN (SELECT DISTINCT * FROM unnest(p_lane_ids, p_claim_seqs)) AS k(lane_id, claim_seq)
      ON c.lane_id = k.lane_id AND c.claim_seq = k.claim_seq
    ORDER BY c.lane_id, c.claim_seq
    FOR UPDATE OF c SKIP LOCKED
  )
  SELECT coalesce(array_agg(i.ord::int), '{}') INTO v_locked
  FROM unnest(p_lane_ids, p_claim_seqs) WITH ORDINALITY AS i(lane_id, claim_seq, ord)
  JOIN locked l ON l.lane_id = i.lane_id AND l.claim_seq = i.claim_seq;

  IF cardinality(v_locked) = cardinality(p_lane_ids) THEN
    RETURN p_lane_ids;
  END IF;
  -- A claim that is not there any more is not busy: its attempts are over.
  RETURN ARRAY(
    SELECT CASE WHEN i.ord = ANY (v_locked) OR NOT EXISTS (
      SELECT FROM ${s}.lease_claims c WHERE c.lane_id = i.lane_id AND c.claim_seq = i.claim_seq
    ) THEN i.lane_id END
    FROM unnest(p_lane_ids, p_claim_seqs) WITH ORDINALITY AS i(lane_id, claim_seq, ord) ORDER BY i.ord);
END $awa$`,
];
