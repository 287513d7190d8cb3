import type { ModelRow } from '../models.js';

/** Two slots: enough for a holder that has to move down. TTL is longer than IDLE, which is all that counts. */
const twoSlots = {
  INSTANCES: 2,
  EXTRA: 0,
  CAP: 2,
  IDLE: 2,
  TTL: 3,
  EPOCHS: 2,
  DEATHS: 0,
  COOLS: false,
  FINE: true,
};
/** Where one slot is enough to see it. */
const oneSlot = { ...twoSlots, CAP: 1, DEATHS: 1 };
/** Four connections of three processes, with the times of the engine. */
const many = { ...twoSlots, INSTANCES: 3, EXTRA: 1, CAP: 3, TTL: 12, EPOCHS: 1_000, DEATHS: 1, COOLS: true };

export const model: ModelRow = {
  name: 'claimers',
  about: 'who may claim from a hot queue: slots taken, marked, stolen when idle, expired, moved down',
  explore: {
    short: [
      { ...twoSlots, IDLE: 1, TTL: 2 },
      { ...oneSlot, EXTRA: 1 },
    ],
    long: [
      { ...twoSlots, DEATHS: 1 },
      { ...oneSlot, INSTANCES: 3, COOLS: true },
      { ...oneSlot, EXTRA: 1 },
    ],
  },
  walks: {
    short: { bounds: many, walks: 40, steps: 60 },
    long: { bounds: many, walks: 400, steps: 100 },
  },
  invariants: ['oneLiveOwner', 'freshNeverStolen', 'epochNeverShared', 'ownersWithinCap', 'oneSlotEach'],
  witnesses: [
    'sawIdleTaken',
    'sawExpiredTaken',
    'sawReleasedTaken',
    'sawMovedDown',
    'sawMarkInTime',
    'sawMarkTooLate',
    'sawRefusal',
    'sawRefusalByLock',
    'sawTwoOwners',
    'sawDeathOfHolder',
  ],
  // As many as the greatest IDLE: a dead holder keeps the others away for 500 ms, and never for the whole time to live.
  settleSteps: 2,
  conformance: async () => (await import('../conformance/claimers.js')).replayClaimers,
  twins: [
    { defect: 'marks_after_steal', refuted: 'oneLiveOwner', bounds: oneSlot },
    { defect: 'no_state_lock', refuted: 'oneLiveOwner', bounds: oneSlot },
    { defect: 'steals_fresh', refuted: 'freshNeverStolen', bounds: oneSlot },
    { defect: 'no_second_look', refuted: 'freshNeverStolen', bounds: oneSlot },
    { defect: 'moves_down_by_force', refuted: 'freshNeverStolen', bounds: twoSlots },
    { defect: 'same_epoch_after_expiry', refuted: 'epochNeverShared', bounds: oneSlot },
    { defect: 'shrink_deletes', refuted: 'epochNeverShared', bounds: twoSlots },
    { defect: 'slot_above_target', refuted: 'ownersWithinCap', bounds: twoSlots },
    { defect: 'keeps_old_slot', refuted: 'oneSlotEach', bounds: twoSlots },
    { defect: 'never_idle', refuted: 'settled', bounds: oneSlot },
  ],
};
