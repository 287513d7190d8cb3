import type { SchemaName } from '../../lib/storage/schema-name.js';
import type { SchemaVersion } from '../schema-version.interface.js';
import { adoptCluster } from './functions/adopt-cluster.js';
import { attemptState } from './functions/attempt-state.js';
import { boundedClaimers } from './functions/bounded-claimers.js';
import { cancelJobs } from './functions/cancel-jobs.js';
import { cancelUniqueJob } from './functions/cancel-unique-job.js';
import { claimJobs } from './functions/claim-jobs.js';
import { claimWindow } from './functions/claim-window.js';
import { closeAttempts } from './functions/close-attempts.js';
import { closedAttempts } from './functions/closed-attempts.js';
import { counting } from './functions/counting.js';
import { deadLetters } from './functions/dead-letters.js';
import { enqueueJobs } from './functions/enqueue-jobs.js';
import { lanesInTurn } from './functions/lanes-in-turn.js';
import { lockClaims } from './functions/lock-claims.js';
import { insertJob } from './functions/insert-job.js';
import { instances } from './functions/instances.js';
import { jobRules } from './functions/job-rules.js';
import { priorityAging } from './functions/priority-aging.js';
import { leadership } from './functions/leadership.js';
import { listJobs, READER_PARAMETERS } from './functions/list-jobs.js';
import { promoteDeferred } from './functions/promote-deferred.js';
import { queueAdmin } from './functions/queue-admin.js';
import { reading } from './functions/reading.js';
import { rescue } from './functions/rescue.js';
import { rings } from './functions/rings.js';
import { roles } from './functions/roles.js';
import { sharding } from './functions/sharding.js';
import { uniqueKeyOf } from './functions/unique-key-of.js';
import { uniqueKeys } from './functions/unique-keys.js';
import { RINGS } from './rings.js';
import { tables } from './tables.js';

const objects = ({ ident, channel, lockKey, leaderKey }: SchemaName): string[] => [
  ...tables(ident),
  ...claimWindow(ident),
  ...rings(ident),
  ...sharding(ident),
  ...enqueueJobs(ident, channel),
  ...uniqueKeys(ident),
  ...priorityAging(ident),
  ...lanesInTurn(ident),
  ...boundedClaimers(ident),
  ...claimJobs(ident),
  ...attemptState(ident),
  ...closeAttempts(ident, channel),
  ...closedAttempts(ident),
  ...lockClaims(ident),
  ...promoteDeferred(ident, channel),
  ...queueAdmin(ident, channel),
  ...rescue(ident),
  ...instances(ident),
  ...deadLetters(ident, channel),
  ...reading(ident),
  ...cancelJobs(ident, channel),
  ...cancelUniqueJob(ident),
  ...counting(ident),
  ...listJobs(ident),
  ...adoptCluster(ident, lockKey),
  ...jobRules(ident),
  ...uniqueKeyOf(ident),
  ...insertJob(ident),
  ...leadership(ident, leaderKey),
];

/** Version 1: the storage core. */
export const createAwa: SchemaVersion = {
  version: 1,
  name: 'CreateAwa',
  timestamp: 1764000000001,
  up: (schema: SchemaName) => {
    const statements = objects(schema);
    return [...statements, ...roles(schema.ident, schema.lockKey, statements)];
  },
  // Names only what up() made: the schema may hold other people's things. Functions refer to nothing that keeps them.
  down: ({ ident }: SchemaName) => [
    `SELECT ${ident}.revoke_role(r.role_name) FROM (SELECT DISTINCT role_name::text FROM ${ident}.role_grants) r`,
    ...[
      'access_grants()',
      'grant_role(text, text)',
      'revoke_role(text, text)',
      'current_leader()',
      'insert_job(text, json, text, int, int, timestamptz, interval, text, text[], json, text, json)',
      'unique_key_of(text, text, json, jsonb)',
      'value_at(jsonb, text)',
      'unique_part(int, text)',
      'canonical_json(jsonb)',
      'canonical_number(numeric)',
      'utf16_order(text)',
      'unique_problems(jsonb)',
      'metadata_problems(jsonb)',
      'tags_problems(text[])',
      'json_problem(text, text, int)',
      'name_problem(text, text)',
      'utf16_length(text)',
      'enqueue_keyed_jobs(text[], int[], text[], text[], int[], timestamptz[], double precision[], text[], text[], bigint[], bytea[])',
      'adopt_cluster()',
      'foreign_cluster()',
      'system_identifier()',
      'cancel_unique_job(bytea, bigint, text)',
      'cancel_jobs(bigint[], text)',
      'cancel_deferred(bigint[], text)',
      `list_jobs(bigint[], ${READER_PARAMETERS})`,
      ...['all', 'deferred', 'ended', 'available', 'running', 'completed'].map(
        (what) => `read_${what}(${READER_PARAMETERS})`,
      ),
      'get_job(bigint)',
      'read_job(bigint)',
      'count_jobs(text, int)',
      'read_counts(text, int)',
      'dead_letter_depth(int)',
      'oldest_waiting(text)',
      'count_running(int[])',
      'count_completed(int[], int)',
      'count_deferred(int[], text, int)',
      'count_done(int[], text, int)',
      'count_dead(int[], text, int)',
      'count_available(int[], int)',
      'estimate_rows(regclass, bigint, int[], text)',
      'live_ready(bigint)',
      'ready_state(int, smallint, xid8, bigint, int)',
      'claim_of(int, xid8, bigint)',
      'rescue_attempts(uuid, double precision, int, int, bigint)',
      'drain_deferred(text, text, int)',
      'drain_ready(uuid, text, text, int)',
      'resume_queue(text)',
      'pause_queue(text, text, text)',
      'take_over_attempts(uuid, int[], bigint[], text, text, int, int, bigint)',
      'settle_overdue(double precision, double precision, int, int, bigint)',
      'settle_taken(int[], bigint[], smallint[], bigint[], int[], text, text[], double precision)',
      'heartbeat(uuid)',
      'register_queues(text[], int[], int[], int[], double precision[])',
      'promote_deferred(int, timestamptz)',
      'settle_attempts(int[], bigint[], smallint[], bigint[], int[], text[], text[], double precision[], boolean)',
      'append_error(jsonb, int, text, timestamptz, boolean)',
      'unknown_outcome(text)',
      'state_after(text, int, int, boolean)',
      'list_dead_letters(bigint[], text, text, text, text, timestamptz, timestamptz, timestamptz, bigint, int, int)',
      'walk_dead_letters(bigint[], text, text, text, text, timestamptz, timestamptz, timestamptz, bigint, int, int)',
      'retry_dead_letters(bigint[], boolean, text, int, int, timestamptz, double precision)',
      'purge_dead_letters(bigint[], boolean)',
      'purge_expired_dead_letters(int)',
      'walk_failed_jobs(bigint[], text, text, text, timestamptz, timestamptz, bigint, int, int)',
      'move_failed_to_dlq(bigint[], text)',
      'retry_delay(int)',
      'lock_claims(int[], bigint[], boolean)',
      'complete_attempts(int[], bigint[], smallint[], bigint[], int[], smallint[], int[], bytea[], int[], boolean)',
      'save_attempt_states(int[], bigint[], smallint[], bigint[], int[], int[], double precision[], text[], text[])',
      'end_attempt_states(bigint[], int[])',
      'payload_now(jsonb, text, bigint, int)',
      `fold_attempt_state(jsonb, ${ident}.attempt_state)`,
      'closed_attempts(int[], bigint[], smallint[])',
      'require_read_committed()',
      'open_items(int[], bigint[], smallint[], bigint[], int[])',
      'expire_unique_keys(int)',
      'drop_unique_records(text, smallint)',
      'end_unique_keys(bytea[], bigint[], text, smallint[])',
      'enqueue_unique_jobs(text[], int[], text[], text[], int[], timestamptz[], double precision[], text[], text[], bytea[], bigint[], text[])',
      'take_unique_keys(bytea[], bigint[], text[], timestamptz[])',
      'claim_jobs(uuid, text[], int[], boolean, int[])',
      'about_queues(int[], text)',
      'lanes_in_turn(text[], int[], int[], boolean)',
      'rows_as_old(int, timestamptz, int)',
      'lane_head(int)',
      'aged_priority(int, timestamptz, int, timestamptz)',
      'mark_claimer(uuid, text)',
      'claimer_gate(uuid, text, boolean)',
      'acquire_claimer(uuid, text)',
      'refresh_claimer_state(text)',
      'backlog_up_to(text, int)',
      'next_claimer_target(int, int, int)',
      'enqueue_jobs(text[], int[], text[], text[], int[], timestamptz[], double precision[], text[], text[])',
      'shard_for(text, text, bigint)',
      'shard_of_key(text, int)',
      'unknown_lane(text, int)',
      'prune_ring(text, bigint, interval, interval)',
      'carry_claims(smallint, smallint)',
      'open_attempts()',
      'ready_blocker(smallint, interval)',
      'rotate_ring(text, bigint)',
      'ring_is_idle(text, smallint, timestamptz)',
      'ring_slots(text)',
      'ring_segments(text)',
      'current_slot(text)',
      'unclaimed_ranges(int, pg_snapshot)',
      'ranges_after(pg_snapshot, pg_snapshot, xid8, bigint, pg_snapshot)',
      'lane_cursor(int)',
      'cursor_covers(pg_snapshot, pg_snapshot, xid8, bigint, xid8, bigint)',
      'window_ranges(pg_snapshot, pg_snapshot, xid8, bigint)',
    ].map((signature) => `DROP FUNCTION ${ident}.${signature}`),
    ...[
      ...RINGS.flatMap((ring) => ring.tables),
      'role_grants',
      'deferred_jobs',
      'attempt_state',
      'job_unique_claims',
      'dlq_entries',
      'runtime_instances',
      'clusters',
      'ring_prunes',
      'ring_rotations',
      'queue_claimer_leases',
      'queue_claimer_state',
      'queue_claim_heads',
      'queue_lanes',
      'queues',
    ].map((table) => `DROP TABLE ${ident}.${table}`),
    `DROP SEQUENCE ${ident}.job_ids`,
    `DROP SEQUENCE ${ident}.shard_rotor`,
  ],
};
