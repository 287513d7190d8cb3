import type { ModelRow } from '../models.js';

const small = { LEADERS: 2, SLOTS: 3, GENERATIONS: 3, COARSE: false };

export const model: ModelRow = {
  name: 'rotation',
  about: 'rotation by compare-and-swap, with several leaders at once, some of them late',
  explore: {
    short: small,
    long: [
      { ...small, LEADERS: 3 },
      { ...small, GENERATIONS: 5 },
    ],
  },
  walks: {
    short: { bounds: { ...small, LEADERS: 4, SLOTS: 4, GENERATIONS: 20 }, walks: 20, steps: 60 },
    long: { bounds: { ...small, LEADERS: 4, SLOTS: 8, GENERATIONS: 50 }, walks: 200, steps: 150 },
  },
  invariants: [
    'rotatedOnce',
    'neverIntoFullSlot',
    'slotHasOneSegment',
    'nothingNeededIsLost',
    'idleRingStays',
  ],
  witnesses: ['sawTwoWithOnePlan', 'sawStalePlan', 'sawSlotReused', 'sawNoFreeSlot'],
  settleSteps: 1,
  conformance: async () => (await import('../conformance/rotation.js')).replayRotation,
  twins: [
    { defect: 'no_comparison', refuted: 'rotatedOnce' },
    { defect: 'forgets_at_once', refuted: 'rotatedOnce' },
    { defect: 'next_slot_blindly', refuted: 'neverIntoFullSlot' },
    { defect: 'next_slot_blindly', refuted: 'slotHasOneSegment' },
    { defect: 'frees_before_it_empties', refuted: 'nothingNeededIsLost' },
    { defect: 'rotates_idle', refuted: 'idleRingStays' },
    { defect: 'never_frees', refuted: 'settled' },
  ],
};
