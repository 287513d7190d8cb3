/** Slots of the ready ring (ready_entries, completion_batches). */
export const READY_SLOTS = 8;

/** Slots of the claim ring (lease_claims, lease_claim_closures). */
export const CLAIM_SLOTS = 8;
