import type { SchemaName } from '../../lib/storage/schema-name.js';
import type { SchemaVersion } from '../schema-version.interface.js';
import { claimJobs } from './functions/claim-jobs.js';
import { claimWindow } from './functions/claim-window.js';
import { closeAttempts } from './functions/close-attempts.js';
import { enqueueJobs } from './functions/enqueue-jobs.js';
import { instances } from './functions/instances.js';
import { promoteDeferred } from './functions/promote-deferred.js';
import { reading } from './functions/reading.js';
import { tables } from './tables.js';

/** Version 1: the storage core. */
export const createAwa: SchemaVersion = {
  version: 1,
  name: 'CreateAwa',
  timestamp: 1764000000001,
  up: ({ ident, channel }: SchemaName) => [
    ...tables(ident),
    ...enqueueJobs(ident, channel),
    ...claimWindow(ident),
    ...claimJobs(ident),
    ...closeAttempts(ident, channel),
    ...promoteDeferred(ident, channel),
    ...instances(ident),
    ...reading(ident),
  ],
  // In the order in which nothing is left that refers to what goes. Names only what up() made.
  down: ({ ident }: SchemaName) => [
    ...[
      'get_job(bigint)',
      'count_jobs(text)',
      'ready_state(int, xid8, bigint)',
      'claim_of(int, xid8, bigint)',
      'rescue_attempts(int)',
      'take_over_attempts(uuid, int[], bigint[], text, text, int)',
      'heartbeat(uuid)',
      'register_queues(text[])',
      'promote_deferred(int)',
      'settle_attempts(smallint[], int[], bigint[], smallint[], bigint[], int[], text[], text[], double precision[])',
      'append_error(jsonb, int, text, timestamptz, boolean)',
      'state_after(text, int, int)',
      'retry_delay(int)',
      'complete_attempts(smallint[], int[], bigint[], smallint[], bigint[], int[], smallint[])',
      'lock_open_items(smallint[], int[], bigint[], smallint[], bigint[], int[])',
      'claim_jobs(uuid, text[], int[])',
      'unclaimed_ranges(int, pg_snapshot)',
      'lane_cursor(int)',
      'cursor_covers(pg_snapshot, pg_snapshot, xid8, bigint, xid8, bigint)',
      'window_ranges(pg_snapshot, pg_snapshot, xid8, bigint)',
      'enqueue_jobs(text[], int[], text[], text[], int[], timestamptz[], double precision[], text[])',
      'unknown_lane(text, int)',
    ].map((signature) => `DROP FUNCTION ${ident}.${signature}`),
    ...[
      'lease_claim_closures',
      'lease_claims',
      'deferred_jobs',
      'done_entries',
      'completion_batches',
      'ready_entries',
      'runtime_instances',
      'claim_ring_rotations',
      'ready_ring_rotations',
      'queue_claim_heads',
      'queue_lanes',
      'queues',
    ].map((table) => `DROP TABLE ${ident}.${table}`),
    `DROP SEQUENCE ${ident}.job_ids`,
  ],
};
