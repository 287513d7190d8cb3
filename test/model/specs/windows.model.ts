import type { ModelRow } from '../models.js';

const common = { PRODUCERS: 2, CLAIMERS: 1, LIMIT: 2, READY_SLOTS: 2, CLAIM_SLOTS: 2, COARSE: false };

const small = { ...common, TRANSACTIONS: 2, JOBS: 2 };

const large = {
  ...common,
  PRODUCERS: 4,
  TRANSACTIONS: 20,
  JOBS: 30,
  CLAIMERS: 3,
  READY_SLOTS: 3,
  CLAIM_SLOTS: 3,
};
/** Else there would be little to claim. */
const weights = { Inserted: 3, Committed: 2, ClaimAborted: 0.3, PruneGaveUp: 0.3 };

export const model: ModelRow = {
  name: 'windows',
  about: 'enqueue, window claim, cancel, rotation and prune of one lane',
  explore: {
    short: small,
    long: [
      { ...small, JOBS: 3, CLAIMERS: 2 },
      // More transactions, without rings.
      { ...common, PRODUCERS: 3, TRANSACTIONS: 3, JOBS: 3, READY_SLOTS: 1, CLAIM_SLOTS: 1 },
    ],
  },
  walks: {
    short: { bounds: large, walks: 20, steps: 100, weights },
    long: { bounds: large, walks: 60, steps: 200, weights },
  },
  invariants: [
    'nothing_lost',
    'pruned_held_nothing_live',
    'claimed_once',
    'windows_are_exact',
    'attempts_are_known',
    'terminal_is_terminal',
  ],
  witnesses: [
    'late_committer_claimed',
    'window_left_open',
    'row_written_to_a_sealed_slot',
    'slot_emptied',
    'prune_refused_at_last',
    'cursor_carried',
    'open_claim_carried',
    'buried_passed',
  ],
  settleSteps: 16,
  conformance: async () => (await import('../conformance/windows.js')).replayWindows,
  twins: [
    { defect: 'no_probe', refuted: 'nothing_lost' },
    { defect: 'no_cuts', refuted: 'claimed_once' },
    { defect: 'cursor_jumps', refuted: 'nothing_lost' },
    { defect: 'cursor_back', refuted: 'claimed_once' },
    { defect: 'no_lock', refuted: 'claimed_once', bounds: { ...small, CLAIMERS: 2 } },
    { defect: 'cancel_ignored', refuted: 'terminal_is_terminal' },
    { defect: 'cancel_without_lock', refuted: 'terminal_is_terminal' },
    { defect: 'no_closure_check', refuted: 'terminal_is_terminal' },
    { defect: 'one_proof', refuted: 'pruned_held_nothing_live' },
    { defect: 'prune_unlocked', refuted: 'pruned_held_nothing_live' },
    { defect: 'carry_forgotten', refuted: 'claimed_once' },
    { defect: 'open_forgotten', refuted: 'attempts_are_known' },
    { defect: 'lock_survives', refuted: 'settled' },
  ],
};
