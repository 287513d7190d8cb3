import type { ModelRow } from '../models.js';

const all = { LEADERS: 2, TIMES: 3, COALESCES: false };

export const model: ModelRow = {
  name: 'cron',
  about: 'each due time is fired once, whoever leads (design; not in the code yet)',
  explore: { short: { ...all, COALESCES: true }, long: { LEADERS: 3, TIMES: 5, COALESCES: true } },
  walks: {
    short: { bounds: { LEADERS: 3, TIMES: 10, COALESCES: false }, walks: 20, steps: 40 },
    long: { bounds: { LEADERS: 4, TIMES: 20, COALESCES: false }, walks: 200, steps: 100 },
  },
  invariants: ['firedOnce', 'noneForgotten', 'neverBack'],
  witnesses: ['sawTwoForOneTime', 'sawStaleDecision', 'sawLateFire', 'sawCoalesced'],
  settleSteps: 1,
  twins: [
    { defect: 'no_comparison', refuted: 'firedOnce', bounds: all },
    { defect: 'fires_first', refuted: 'firedOnce', bounds: all },
    { defect: 'marks_first', refuted: 'noneForgotten', bounds: all },
    { defect: 'no_comparison', refuted: 'neverBack' },
    { defect: 'forgets_what_is_late', refuted: 'settled' },
  ],
};
