import type { Access } from '../../lib/storage/access.js';

/** Privileges on one table, as GRANT has them; what is left out is not granted. */
export type TableRules = Readonly<Partial<Record<Access, string>>>;

// A row lock asks for UPDATE of any one column: where nothing is ever updated, one column is all there is to be had.
const APPENDED: TableRules = { runtime: 'SELECT, INSERT', reader: 'SELECT' };

/**
 * Who may do what with which table. Partitions are not in it: they are reached through their parents, and emptied by prune_ring(), which
 * acts as the owner. So nobody but the owner can update, delete or truncate what is only ever appended to. (Nor the sequences: numbers
 * are drawn by the enqueuing functions, which act as the owner too.)
 */
export const TABLE_RULES: Readonly<Record<string, TableRules>> = {
  schema_versions: { runtime: 'SELECT', producer: 'SELECT', reader: 'SELECT' },
  role_grants: { reader: 'SELECT' },
  queues: { runtime: 'SELECT, INSERT, UPDATE', producer: 'SELECT (name)', reader: 'SELECT' },
  queue_lanes: APPENDED,
  queue_claim_heads: { runtime: 'SELECT, INSERT, UPDATE (lane_id)', reader: 'SELECT' },
  queue_claimer_state: { runtime: 'SELECT, INSERT, UPDATE', reader: 'SELECT' },
  queue_claimer_leases: { runtime: 'SELECT, INSERT, UPDATE', reader: 'SELECT' },
  ring_rotations: { runtime: 'SELECT, INSERT, DELETE', reader: 'SELECT' },
  ring_prunes: { runtime: 'SELECT, INSERT, DELETE', reader: 'SELECT' },
  runtime_instances: { runtime: 'SELECT, INSERT, UPDATE (heartbeat_at), DELETE', reader: 'SELECT' },
  ready_entries: APPENDED,
  completion_batches: APPENDED,
  ready_tombstones: APPENDED,
  done_entries: APPENDED,
  dlq_entries: { runtime: 'SELECT, INSERT, UPDATE (reason), DELETE', reader: 'SELECT' },
  attempt_state: { runtime: 'SELECT, INSERT, UPDATE, DELETE', reader: 'SELECT' },
  clusters: { reader: 'SELECT' },
  deferred_jobs: { runtime: 'SELECT, INSERT, UPDATE (run_at), DELETE', reader: 'SELECT' },
  lease_claims: { runtime: 'SELECT, INSERT, UPDATE (claimed_at)', reader: 'SELECT' },
  lease_claim_closures: APPENDED,
  job_unique_claims: {
    runtime: 'SELECT, INSERT, UPDATE (record_ring, record_slot), DELETE',
    reader: 'SELECT',
  },
};

/** All functions are the runtime's, but for these: they are the owner's, and what only functions that act as the owner call. */
export const OWNER_FUNCTIONS: readonly string[] = [
  'access_grants',
  'grant_role',
  'revoke_role',
  'enqueue_keyed_jobs',
  'carry_claims',
  'system_identifier',
  'estimate_rows',
  'read_counts',
  'count_available',
  'count_running',
  'count_completed',
  'count_deferred',
  'count_done',
  'count_dead',
];

/** What enqueues, and what a process asks for at boot. */
export const PRODUCER_FUNCTIONS: readonly string[] = [
  'enqueue_jobs',
  'enqueue_unique_jobs',
  'insert_job',
  'foreign_cluster',
  'adopt_cluster',
];

/** get_job(), list_jobs(), list_dead_letters(), the counts, ring_segments(), and what they call. */
export const READER_FUNCTIONS: readonly string[] = [
  'get_job',
  'read_job',
  'ready_state',
  'payload_now',
  'fold_attempt_state',
  'list_jobs',
  'read_all',
  'read_deferred',
  'read_ended',
  'read_available',
  'read_running',
  'read_completed',
  'list_dead_letters',
  'dead_letter_depth',
  'oldest_waiting',
  'claim_of',
  'cursor_covers',
  'lane_cursor',
  'window_ranges',
  'ranges_after',
  'unclaimed_ranges',
  'count_jobs',
  'ring_segments',
  'ring_slots',
  'current_slot',
  'open_attempts',
  'foreign_cluster',
  'current_leader',
];

/** One privilege, or several, on one object. */
export interface Grant {
  readonly access: Access;
  readonly privileges: string;
  /** As it stands behind ON. */
  readonly object: string;
}

/** Everything that there is to grant, the functions named as CREATE FUNCTION named them. */
export function grants(s: string, functions: readonly string[]): Grant[] {
  const allowed: Readonly<Record<Access, readonly string[]>> = {
    runtime: functions.filter((name) => !OWNER_FUNCTIONS.includes(name)),
    producer: PRODUCER_FUNCTIONS,
    reader: READER_FUNCTIONS,
  };
  return (Object.keys(allowed) as Access[]).flatMap((access) => [
    { access, privileges: 'USAGE', object: `SCHEMA ${s}` },
    ...Object.entries(TABLE_RULES).flatMap(([table, { [access]: privileges }]) =>
      privileges === undefined ? [] : [{ access, privileges, object: `TABLE ${s}.${table}` }],
    ),
    ...allowed[access].map((name) => ({ access, privileges: 'EXECUTE', object: `FUNCTION ${s}.${name}` })),
  ]);
}

/** The names of the functions that statements create. */
export function createdFunctions(s: string, statements: readonly string[]): string[] {
  const start = `CREATE FUNCTION ${s}.`;
  return statements
    .filter((statement) => statement.startsWith(start))
    .map((statement) => statement.slice(start.length, statement.indexOf('(')));
}
