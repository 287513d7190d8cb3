import { PLAN_BY_INDEX } from './plan-settings.js';

/**
 * Which of the attempts are closed, and as what; gone: so long ago that their claim is not kept any more. For processes that
 * cannot hear of it by NOTIFY.
 *
 * Locks the claims and closures in ACCESS SHARE mode, as readings do: a claim that moves to another slot could otherwise be missed
 * in both.
 */
export const closedAttempts = (s: string): string[] => [
  `CREATE FUNCTION ${s}.closed_attempts(p_lane_ids int[], p_claim_seqs bigint[], p_items smallint[])
RETURNS TABLE (ord int, outcome text) LANGUAGE plpgsql
${PLAN_BY_INDEX} AS $awa$
#variable_conflict use_column
BEGIN
  LOCK TABLE ${s}.lease_claims, ${s}.lease_claim_closures IN ACCESS SHARE MODE;
  RETURN QUERY
  SELECT i.ord::int, coalesce(x.outcome, 'gone')
  FROM unnest(p_lane_ids, p_claim_seqs, p_items) WITH ORDINALITY AS i(lane_id, claim_seq, item, ord)
  LEFT JOIN LATERAL (
    SELECT x.outcome FROM ${s}.lease_claim_closures x
    WHERE x.lane_id = i.lane_id AND x.claim_seq = i.claim_seq AND i.item = ANY (x.items) LIMIT 1
  ) x ON true
  WHERE x.outcome IS NOT NULL OR NOT EXISTS (
    -- A claim that is only a cursor any more has no items.
    SELECT FROM ${s}.lease_claims c
    WHERE c.lane_id = i.lane_id AND c.claim_seq = i.claim_seq AND cardinality(c.job_ids) >= i.item);
END $awa$`,
];
