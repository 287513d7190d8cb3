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
  FAULTS: 0,
  EAGER: 0,
};

/** For walks: everything that the model has. */
const LARGE: Bounds = {
  CONNS: 3,
  KEYS: 2,
  JOBS: 6,
  BATCH: 2,
  OPS: 3,
  ATTEMPTS: 2,
  HOLDS: 6,
  SAVEPOINTS: 1,
  FAULTS: 1,
  EAGER: 0,
};

export const model: ModelRow = {
  name: 'uniqueness',
  about: 'who holds a unique key, through every transition of a job, with transactions that stay open',
  explore: { short: SMALL, long: { ...SMALL, OPS: 2 } },
  walks: {
    short: { bounds: LARGE, walks: 6, steps: 80 },
    long: { bounds: LARGE, walks: 60, steps: 150 },
  },
  invariants: [
    'oneLiveJobPerKey',
    'liveJobsHoldTheirKeys',
    'heldStatesHold',
    'noKeyLeaked',
    'answersHeldTheKey',
    'freeKeysAreTaken',
    'noJobLost',
    'noJobGivesWayToNobody',
    'noJobGoesPastTheHolder',
    'singleStatementsNeverDeadlock',
  ],
  witnesses: [
    'waitedForAnInsert',
    'waitedForAnEnd',
    'cancelWaited',
    'retryWaited',
    'gaveWay',
    'endedHolder',
    'deadHolder',
    'deadWithNewerHolder',
  ],
  settleSteps: 30,
  twins: [
    // Exits that have code of their own for the key.
    { defect: 'complete_keeps_key', refuted: 'noKeyLeaked' },
    { defect: 'settle_keeps_key', refuted: 'noKeyLeaked' },
    { defect: 'cancel_deferred_keeps_key', refuted: 'noKeyLeaked' },
    { defect: 'cancel_waiting_keeps_key', refuted: 'noKeyLeaked' },
    { defect: 'purge_keeps_key', refuted: 'noKeyLeaked' },
    { defect: 'prune_keeps_key', refuted: 'noKeyLeaked' },
    // Exits that take too much.
    { defect: 'free_is_unchecked', refuted: 'liveJobsHoldTheirKeys' },
    { defect: 'complete_forgets_held', refuted: 'heldStatesHold' },
    { defect: 'move_keeps_note', refuted: 'heldStatesHold' },
    { defect: 'prune_mixes_rings', refuted: 'heldStatesHold' },
    { defect: 'sweep_takes_live', refuted: 'liveJobsHoldTheirKeys', bounds: { ...SMALL, HOLDS: 3 } },
    { defect: 'stale_completion_frees', refuted: 'liveJobsHoldTheirKeys', bounds: { ...SMALL, FAULTS: 1 } },
    // Conflicts.
    { defect: 'retry_steals', refuted: 'liveJobsHoldTheirKeys' },
    { defect: 'superseded_is_dropped', refuted: 'noJobLost' },
    { defect: 'settle_finds_itself', refuted: 'noJobGivesWayToNobody' },
    { defect: 'settle_ignores_holder', refuted: 'noJobGoesPastTheHolder', bounds: { ...SMALL, FAULTS: 1 } },
    { defect: 'promote_ignores_holder', refuted: 'noJobGoesPastTheHolder', bounds: { ...SMALL, FAULTS: 1 } },
    // Enqueues.
    { defect: 'dedup_reads_uncommitted', refuted: 'answersHeldTheKey' },
    { defect: 'loser_gives_up', refuted: 'freeKeysAreTaken' },
    { defect: 'bulk_without_dedup', refuted: 'oneLiveJobPerKey', bounds: { ...SMALL, BATCH: 2 } },
    {
      defect: 'bulk_without_order',
      refuted: 'singleStatementsNeverDeadlock',
      bounds: { ...SMALL, BATCH: 2, KEYS: 2, JOBS: 4 },
    },
  ],
};
