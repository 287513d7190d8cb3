import type { TestDatabase } from './test-database.js';

/** What a queue's claimers share. */
export interface ClaimerState {
  readonly target: number;
  readonly hot: boolean;
}

/** A row of `queue_claimer_leases`, and which version of it. */
export interface StoredLease {
  readonly slot: number;
  readonly owner: string;
  readonly epoch: number;
  readonly version: string;
}

/** Reads and sets the claimers of a queue, past the rules that would change them with time. */
export function claimersOf(database: Pick<TestDatabase, 'query'>) {
  return {
    /** Stays so: the next refresh is an hour away. */
    freeze: async (queue: string, { target, hot }: ClaimerState) => {
      await database.query(
        `UPDATE awa.queue_claimer_state SET target = $2, hot = $3, refreshed_at = clock_timestamp() + interval '1 hour' WHERE queue = $1`,
        [queue, target, hot],
      );
    },

    /** As if the last refresh were so long ago, and so many claims had been made since. */
    refreshAgo: async (queue: string, ms: number, claims = 0) => {
      await database.query(
        `UPDATE awa.queue_claimer_state SET refreshed_at = clock_timestamp() - $2::int * interval '1 millisecond',
           claims = (SELECT sum(k.claim_seq) FROM awa.queue_lanes l, awa.lane_cursor(l.lane_id) k WHERE l.queue = $1) - $3::int
         WHERE queue = $1`,
        [queue, ms, claims],
      );
    },

    state: async (queue: string): Promise<ClaimerState & { readonly version: string }> => {
      const { rows } = await database.query<ClaimerState & { version: string }>(
        `SELECT target::int, hot, ctid::text || '/' || xmin AS version FROM awa.queue_claimer_state WHERE queue = $1`,
        [queue],
      );
      return rows[0]!;
    },

    leases: async (queue: string): Promise<StoredLease[]> => {
      const { rows } = await database.query<StoredLease>(
        `SELECT claimer_slot::int AS slot, owner_instance_id::text AS owner, epoch::int, ctid::text || '/' || xmin AS version
         FROM awa.queue_claimer_leases WHERE queue = $1 ORDER BY claimer_slot`,
        [queue],
      );
      return rows;
    },

    /** As if so much time had passed for the leases of the queue. */
    pass: async (queue: string, ms: number) => {
      await database.query(
        `UPDATE awa.queue_claimer_leases SET last_claimed_at = last_claimed_at - $2::int * interval '1 millisecond',
           expires_at = expires_at - $2::int * interval '1 millisecond' WHERE queue = $1`,
        [queue, ms],
      );
    },
  };
}
