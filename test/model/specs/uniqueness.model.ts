import type { ModelRow } from '../models.js';
import type { Bounds } from '../quint-model.js';

const SMALL: Bounds = {
  CONNS: 2,
  KEYS: 1,
  JOBS: 2,
  BATCH: 1,
  OPS: 1,
  ATTEMPTS: 1,
  HOLDS: 2,
  SAVEPOINTS: 0,
  SNAPSHOTS: 0,
  FAULTS: 0,
  EAGER: 0,
};

/** For walks: everything that the model has. */
export const LARGE = {
  CONNS: 3,
  KEYS: 2,
  JOBS: 6,
  BATCH: 2,
  OPS: 3,
  ATTEMPTS: 2,
  HOLDS: 6,
  SAVEPOINTS: 1,
  SNAPSHOTS: 1,
  FAULTS: 1,
  EAGER: 0,
} satisfies Bounds;

/** Otherwise most jobs are cancelled before anything else happens to them, and most transactions hold little. */
export const WEIGHTS = {
  CancelledJob: 0.25,
  CancelledKey: 0.25,
  RolledBack: 0.4,
  Fixed: 0.25,
  Marked: 0.3,
  Unmarked: 0.3,
  Rotated: 0.3,
  Pruned: 0.3,
  Tampered: 0.3,
  Claimed: 4,
  Settled: 4,
  Completed: 1.5,
  Promoted: 2,
  Moved: 3,
  Retried: 4,
};

export const model: ModelRow = {
  name: 'uniqueness',
  about: 'who holds a unique key, through every transition of a job, with transactions that stay open',
  explore: {
    short: [SMALL, { ...SMALL, CONNS: 1, HOLDS: 1, FAULTS: 1 }, { ...SMALL, CONNS: 1, JOBS: 1, HOLDS: 3 }],
    long: [
      SMALL,
      { ...SMALL, HOLDS: 1, OPS: 2, SAVEPOINTS: 1 },
      { ...SMALL, HOLDS: 1, SNAPSHOTS: 1 },
      { ...SMALL, CONNS: 1, HOLDS: 1, FAULTS: 1 },
      { ...SMALL, CONNS: 1, JOBS: 1, HOLDS: 3 },
    ],
  },
  walks: {
    short: { bounds: LARGE, walks: 4, steps: 80, weights: WEIGHTS },
    long: { bounds: LARGE, walks: 30, steps: 120, weights: WEIGHTS },
  },
  invariants: [
    'one_live_job_per_key',
    'live_jobs_hold_their_keys',
    'held_states_hold',
    'no_key_leaked',
    'answers_held_the_key',
    'free_keys_are_taken',
    'no_job_lost',
    'no_job_gives_way_to_nobody',
    'no_job_goes_past_the_holder',
    'single_statements_never_deadlock',
  ],
  witnesses: [
    'waited_for_an_insert',
    'waited_for_an_end',
    'cancel_waited',
    'retry_waited',
    'gave_way',
    'ended_holder',
    'dead_holder',
    'dead_with_newer_holder',
    'key_outlived_record',
    'robbed_by_hand',
  ],
  settleSteps: 30,
  conformance: async () => (await import('../conformance/uniqueness.js')).replayUniqueness,
  twins: [
    // Exits that have code of their own for the key.
    { defect: 'complete_keeps_key', refuted: 'no_key_leaked' },
    { defect: 'settle_keeps_key', refuted: 'no_key_leaked' },
    { defect: 'cancel_deferred_keeps_key', refuted: 'no_key_leaked' },
    { defect: 'cancel_waiting_keeps_key', refuted: 'no_key_leaked' },
    { defect: 'purge_keeps_key', refuted: 'no_key_leaked' },
    { defect: 'prune_keeps_key', refuted: 'no_key_leaked' },
    { defect: 'sweep_keeps_key', refuted: 'settled', bounds: { ...SMALL, HOLDS: 3 } },
    // Exits that take too much.
    { defect: 'free_is_unchecked', refuted: 'live_jobs_hold_their_keys' },
    { defect: 'complete_forgets_held', refuted: 'held_states_hold' },
    { defect: 'move_keeps_note', refuted: 'held_states_hold' },
    { defect: 'prune_mixes_rings', refuted: 'held_states_hold' },
    { defect: 'sweep_takes_live', refuted: 'live_jobs_hold_their_keys', bounds: { ...SMALL, HOLDS: 3 } },
    {
      defect: 'stale_completion_frees',
      refuted: 'live_jobs_hold_their_keys',
      bounds: { ...SMALL, FAULTS: 1 },
    },
    // Conflicts.
    { defect: 'retry_steals', refuted: 'live_jobs_hold_their_keys' },
    { defect: 'superseded_is_dropped', refuted: 'no_job_lost' },
    { defect: 'settle_finds_itself', refuted: 'no_job_gives_way_to_nobody' },
    {
      defect: 'settle_ignores_holder',
      refuted: 'no_job_goes_past_the_holder',
      bounds: { ...SMALL, FAULTS: 1 },
    },
    {
      defect: 'promote_ignores_holder',
      refuted: 'no_job_goes_past_the_holder',
      bounds: { ...SMALL, FAULTS: 1 },
    },
    // Enqueues.
    { defect: 'dedup_reads_uncommitted', refuted: 'answers_held_the_key' },
    { defect: 'loser_gives_up', refuted: 'free_keys_are_taken' },
    {
      defect: 'refusal_keeps_keys',
      refuted: 'no_key_leaked',
      bounds: { ...SMALL, BATCH: 2, KEYS: 2, JOBS: 4, HOLDS: 1, SNAPSHOTS: 1 },
    },
    { defect: 'bulk_without_dedup', refuted: 'one_live_job_per_key', bounds: { ...SMALL, BATCH: 2 } },
    {
      defect: 'bulk_without_order',
      refuted: 'single_statements_never_deadlock',
      bounds: { ...SMALL, BATCH: 2, KEYS: 2, JOBS: 4 },
    },
  ],
};
