/**
 * The tables of the first version. `s` is the quoted schema.
 *
 * Three planes: the queue plane says what may run, the execution plane who has claimed it and how it ended,
 * the control plane everything small. Rows of the first two are only ever inserted; `docs/storage.md` lists each
 * UPDATE and DELETE of the engine.
 */
import { children, RINGS } from './rings.js';

/** Ring children are emptied by TRUNCATE, never by vacuum; a batch row of arrays stays in line up to a page. */
const BATCH_STORAGE = 'WITH (toast_tuple_target = 8160)';

function controlPlane(s: string): string[] {
  return [
    // A queue with a dead_letter_retention has dead letters; NULL: jobs that fail for good are only failed.
    `CREATE TABLE ${s}.queues (
      name text PRIMARY KEY CHECK (char_length(name) BETWEEN 1 AND 200),
      paused_at timestamptz,
      pause_reason text,
      paused_by text,
      aging_ms int NOT NULL DEFAULT 60000 CHECK (aging_ms >= 0),
      shards smallint NOT NULL DEFAULT 1 CHECK (shards BETWEEN 1 AND 64),
      max_claimers smallint NOT NULL DEFAULT 4 CHECK (max_claimers BETWEEN 1 AND 64),
      dead_letter_retention interval,
      created_at timestamptz NOT NULL DEFAULT now()
    )`,
    // A lane is one ordered stream of a queue. Lanes are never deleted: ready rows name them by number.
    `CREATE TABLE ${s}.queue_lanes (
      lane_id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      queue text NOT NULL REFERENCES ${s}.queues (name),
      priority smallint NOT NULL CHECK (priority BETWEEN 1 AND 4),
      shard smallint NOT NULL DEFAULT 0 CHECK (shard BETWEEN 0 AND 63),
      UNIQUE (queue, priority, shard)
    )`,
    // One row per lane, locked by whoever claims from the lane and never updated.
    `CREATE TABLE ${s}.queue_claim_heads (lane_id int PRIMARY KEY REFERENCES ${s}.queue_lanes (lane_id))`,
    /*
     * How many processes may claim from a queue while it is hot, and whether it is. One row a queue, refreshed at most every
     * 500 ms by whoever claims. claims: how many claims its lanes had seen at the last refresh.
     */
    `CREATE TABLE ${s}.queue_claimer_state (
      queue text PRIMARY KEY REFERENCES ${s}.queues (name),
      target smallint NOT NULL DEFAULT 1,
      hot boolean NOT NULL DEFAULT false,
      claims bigint NOT NULL DEFAULT 0,
      refreshed_at timestamptz NOT NULL DEFAULT clock_timestamp()
    ) WITH (fillfactor = 50)`,
    // A slot of a hot queue and the process that holds it. No index knows a column that is updated, so updates stay HOT.
    `CREATE TABLE ${s}.queue_claimer_leases (
      queue text NOT NULL,
      claimer_slot smallint NOT NULL,
      owner_instance_id uuid NOT NULL,
      epoch bigint NOT NULL DEFAULT 1,
      last_claimed_at timestamptz NOT NULL,
      expires_at timestamptz NOT NULL,
      PRIMARY KEY (queue, claimer_slot)
    ) WITH (fillfactor = 50)`,
    // Append-only ledgers of the rings. The newest rotation of a ring names the slot that is written now; a generation that is
    // in ring_prunes has been emptied, and its slot is free.
    `CREATE TABLE ${s}.ring_rotations (
      ring text NOT NULL,
      generation bigint NOT NULL,
      slot smallint NOT NULL,
      rotated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
      PRIMARY KEY (ring, generation)
    )`,
    `CREATE TABLE ${s}.ring_prunes (
      ring text NOT NULL,
      generation bigint NOT NULL,
      pruned_at timestamptz NOT NULL DEFAULT clock_timestamp(),
      PRIMARY KEY (ring, generation)
    )`,
    ...RINGS.map(
      ({ name }) => `INSERT INTO ${s}.ring_rotations (ring, generation, slot) VALUES ('${name}', 0, 0)`,
    ),
    // One row per living worker process: one whose row is gone holds nothing any more. Only heartbeat_at is updated, and no
    // index knows it, so updates stay HOT. timeouts: {"kinds": {kind: ms}, "queues": {queue: ms}}, 0: none; NULL: none at all.
    `CREATE TABLE ${s}.runtime_instances (
      instance_id uuid PRIMARY KEY,
      hostname text NOT NULL,
      pid int NOT NULL,
      version text NOT NULL,
      queues text[] NOT NULL,
      started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
      heartbeat_at timestamptz NOT NULL DEFAULT clock_timestamp(),
      stale_after interval NOT NULL,
      timeouts jsonb
    ) WITH (fillfactor = 50)`,
    // The cluster whose transaction ids the rows carry. Another one's identifier, or more than one: the schema was restored.
    `CREATE TABLE ${s}.clusters (
      system_identifier bigint PRIMARY KEY,
      adopted_at timestamptz NOT NULL DEFAULT clock_timestamp()
    )`,
    `CREATE SEQUENCE ${s}.job_ids AS bigint`,
    // The shard of a batch without ordering key. Sessions take numbers in blocks, so that they do not meet here.
    `CREATE SEQUENCE ${s}.shard_rotor AS bigint CACHE 32 CYCLE`,
  ];
}

function queuePlane(s: string): string[] {
  return [
    // One row per runnable attempt. attempt and run_lease are those of the attempts before this one.
    `CREATE TABLE ${s}.ready_entries (
      enqueue_xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
      job_id bigint NOT NULL,
      run_at timestamptz NOT NULL,
      created_at timestamptz NOT NULL,
      lane_id int NOT NULL,
      attempt int NOT NULL,
      run_lease int NOT NULL,
      ready_slot smallint NOT NULL,
      max_attempts smallint NOT NULL,
      kind text NOT NULL,
      args json NOT NULL,
      unique_key bytea,
      payload jsonb
    ) PARTITION BY LIST (ready_slot)`,
    ...children(s, 'ready_entries', '', (child) => [
      // The claim's only path. Everything it reads is a range of this index.
      `CREATE INDEX ${child}_lane ON ${s}.${child} (lane_id, enqueue_xid, job_id)`,
      // Finds a job by id, and is the backstop against one attempt becoming runnable twice.
      `CREATE UNIQUE INDEX ${child}_attempt ON ${s}.${child} (job_id, run_lease)`,
    ]),
    // Says of a ready row that it must not be claimed: its job was cancelled before.
    `CREATE TABLE ${s}.ready_tombstones (
      job_id bigint NOT NULL,
      lane_id int NOT NULL,
      run_lease int NOT NULL,
      ready_slot smallint NOT NULL
    ) PARTITION BY LIST (ready_slot)`,
    ...children(s, 'ready_tombstones', '', (child) => [
      `CREATE UNIQUE INDEX ${child}_attempt ON ${s}.${child} (job_id, run_lease)`,
      `CREATE INDEX ${child}_lane ON ${s}.${child} (lane_id)`,
    ]),
    // One row per flush, claim and ready slot: the jobs that ended well. Their bodies are in ready_entries.
    `CREATE TABLE ${s}.completion_batches (
      completed_at timestamptz NOT NULL,
      attempted_at timestamptz NOT NULL,
      lane_id int NOT NULL,
      ready_slot smallint NOT NULL,
      job_ids bigint[] NOT NULL,
      job_range int8range NOT NULL
    ) PARTITION BY LIST (ready_slot)`,
    ...children(s, 'completion_batches', BATCH_STORAGE, (child) => [
      // Lists and counts a queue's completed jobs.
      `CREATE INDEX ${child}_time ON ${s}.${child} (lane_id, completed_at)`,
      // Finds the batch of a job: jobs of a batch were mostly enqueued together, so few ranges cover an id.
      `CREATE INDEX ${child}_jobs ON ${s}.${child} USING gist (job_range)`,
    ]),
    // Jobs that ended otherwise, with their bodies: they are kept longer than their segment.
    `CREATE TABLE ${s}.done_entries (
      job_id bigint NOT NULL,
      run_at timestamptz NOT NULL,
      created_at timestamptz NOT NULL,
      attempted_at timestamptz,
      finalized_at timestamptz NOT NULL,
      lane_id int NOT NULL,
      attempt int NOT NULL,
      run_lease int NOT NULL,
      done_slot smallint NOT NULL,
      max_attempts smallint NOT NULL,
      state text NOT NULL CHECK (state IN ('failed', 'cancelled')),
      kind text NOT NULL,
      args json NOT NULL,
      unique_key bytea,
      payload jsonb
    ) PARTITION BY LIST (done_slot)`,
    ...children(s, 'done_entries', '', (child) => [
      `CREATE UNIQUE INDEX ${child}_job ON ${s}.${child} (job_id, run_lease)`,
      // Lists and counts a queue's failed or cancelled jobs.
      `CREATE INDEX ${child}_lane ON ${s}.${child} (lane_id, state, job_id)`,
    ]),
    // Jobs that wait for a time. Inserted when scheduled or put back, deleted when promoted.
    `CREATE TABLE ${s}.deferred_jobs (
      job_id bigint PRIMARY KEY,
      run_at timestamptz NOT NULL,
      created_at timestamptz NOT NULL,
      lane_id int NOT NULL,
      attempt int NOT NULL,
      run_lease int NOT NULL,
      max_attempts smallint NOT NULL,
      state text NOT NULL CHECK (state IN ('scheduled', 'retryable')),
      kind text NOT NULL,
      args json NOT NULL,
      unique_key bytea,
      payload jsonb
    )`,
    `CREATE INDEX deferred_jobs_due ON ${s}.deferred_jobs (run_at, job_id)`,
    // Lists and counts a queue's waiting jobs, however many others wait.
    `CREATE INDEX deferred_jobs_lane ON ${s}.deferred_jobs (lane_id, state, job_id)`,
    // Failed jobs of queues with dead letters, held until somebody retries or purges them, or their time is over.
    `CREATE TABLE ${s}.dlq_entries (
      job_id bigint PRIMARY KEY,
      run_at timestamptz NOT NULL,
      created_at timestamptz NOT NULL,
      attempted_at timestamptz,
      finalized_at timestamptz NOT NULL,
      dlq_at timestamptz NOT NULL,
      lane_id int NOT NULL,
      attempt int NOT NULL,
      run_lease int NOT NULL,
      max_attempts smallint NOT NULL,
      reason text NOT NULL,
      kind text NOT NULL,
      args json NOT NULL,
      unique_key bytea,
      payload jsonb
    )`,
    // Lists, counts and purges a queue's; a list of all queues merges the lanes.
    `CREATE INDEX dlq_entries_lane ON ${s}.dlq_entries (lane_id, dlq_at, job_id)`,
  ];
}

function executionPlane(s: string): string[] {
  return [
    /*
     * One row per claim: the attempts handed to one instance, and the lane's cursor after them. Everything visible in
     * window_prev has been claimed; of what window_cur adds to it, everything up to (pos_xid, pos_job_id). A NULL
     * window_prev says that the window is used up: everything visible in window_cur has been claimed.
     */
    `CREATE TABLE ${s}.lease_claims (
      claim_seq bigint NOT NULL,
      claimed_at timestamptz NOT NULL,
      instance_id uuid NOT NULL,
      lane_id int NOT NULL,
      claim_slot smallint NOT NULL,
      window_prev pg_snapshot,
      window_cur pg_snapshot NOT NULL,
      pos_xid xid8,
      pos_job_id bigint,
      job_ids bigint[] NOT NULL,
      run_leases int[] NOT NULL,
      CHECK ((window_prev IS NULL) = (pos_xid IS NULL) AND (pos_xid IS NULL) = (pos_job_id IS NULL))
    ) PARTITION BY LIST (claim_slot)`,
    ...children(s, 'lease_claims', BATCH_STORAGE, (child) => [
      // Finds the newest claim of a lane, and is the backstop against two claims from one cursor.
      `CREATE UNIQUE INDEX ${child}_seq ON ${s}.${child} (lane_id, claim_seq)`,
    ]),
    // One row per flush, claim and outcome. items are positions in the claim's arrays, from 1.
    `CREATE TABLE ${s}.lease_claim_closures (
      claim_seq bigint NOT NULL,
      closed_at timestamptz NOT NULL,
      lane_id int NOT NULL,
      claim_slot smallint NOT NULL,
      outcome text NOT NULL,
      items smallint[] NOT NULL
    ) PARTITION BY LIST (claim_slot)`,
    ...children(s, 'lease_claim_closures', BATCH_STORAGE, (child) => [
      `CREATE INDEX ${child}_claim ON ${s}.${child} (lane_id, claim_seq)`,
    ]),
    // What an open attempt has saved: few attempts do. No index knows a column that is updated, so updates stay HOT.
    `CREATE TABLE ${s}.attempt_state (
      job_id bigint NOT NULL,
      run_lease int NOT NULL,
      revision int NOT NULL,
      progress double precision CHECK (progress BETWEEN 0 AND 100),
      message text,
      progress_at timestamptz,
      checkpoint jsonb,
      PRIMARY KEY (job_id, run_lease)
    ) WITH (fillfactor = 50)`,
  ];
}

function uniqueness(s: string): string[] {
  return [
    /*
     * Which job a unique key belongs to. held_after: the terminal states that hold the key as well. Of a job that has ended in
     * one of them, record_ring and record_slot say where its record lies: the key goes with it, or when it expires.
     */
    `CREATE TABLE ${s}.job_unique_claims (
      unique_key bytea PRIMARY KEY,
      job_id bigint NOT NULL,
      held_after text[] NOT NULL CHECK (held_after <@ '{completed,failed,cancelled}'),
      expires_at timestamptz,
      record_ring text,
      record_slot smallint,
      CHECK ((record_ring IS NULL) = (record_slot IS NULL))
    )`,
    `CREATE INDEX job_unique_claims_record ON ${s}.job_unique_claims (record_ring, record_slot)
      WHERE record_slot IS NOT NULL AND expires_at IS NULL`,
    `CREATE INDEX job_unique_claims_expiry ON ${s}.job_unique_claims (expires_at)
      WHERE record_slot IS NOT NULL AND expires_at IS NOT NULL`,
  ];
}

export function tables(s: string): string[] {
  return [...controlPlane(s), ...queuePlane(s), ...executionPlane(s), ...uniqueness(s)];
}
