import type { ModelRow } from '../models.js';

export const model: ModelRow = {
  name: 'tiny',
  about: 'a counter with a lock: how a specification looks, and that the explorer works',
  explore: { short: { WRITERS: 2 }, long: { WRITERS: 3 } },
  walks: {
    short: { bounds: { WRITERS: 5 }, walks: 10, steps: 10 },
    long: { bounds: { WRITERS: 9 }, walks: 100, steps: 18 },
  },
  invariants: ['nothing_lost'],
  witnesses: ['everybody_wrote'],
  settleSteps: 6,
  twins: [
    { defect: 'no_lock', refuted: 'nothing_lost' },
    { defect: 'lock_kept', refuted: 'settled' },
  ],
};
