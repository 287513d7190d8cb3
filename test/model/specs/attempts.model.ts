import type { ModelRow } from '../models.js';
import { LARGE, RESULTS, RESULTS_RETRIED, RETRIED, SMALL, TWO_JOBS } from './attempts.bounds.js';

/** Where nothing overlaps, a retried job is found sooner. */
const SERIAL = { ...RETRIED, TRANSACTIONS: 1 };

export const model: ModelRow = {
  name: 'attempts',
  about: 'who may end an attempt, how often, and what is left behind',
  explore: {
    short: [SMALL, RESULTS],
    long: [RETRIED, RESULTS_RETRIED, TWO_JOBS],
  },
  walks: {
    short: { bounds: LARGE, walks: 30, steps: 80 },
    long: { bounds: LARGE, walks: 300, steps: 150 },
  },
  invariants: [
    'oneWinner',
    'terminalIsTerminal',
    'attemptsBounded',
    'attemptsCounted',
    'nowhereLost',
    'nowhereTwice',
    'noZombieState',
    'freshNeverRescued',
    'rescueNeverUncompletes',
    'fenced',
    'struckStaysStruck',
  ],
  witnesses: [
    'sawDeadLetter',
    'sawLostClaim',
    'sawRepeatedCompletion',
    'sawLateClaim',
    'sawTwoHolders',
    'sawRescueMeetsCompletion',
    'sawCancelWhileClaimed',
    'sawStateOfTwo',
    'sawLastAttempt',
  ],
  settleSteps: 40,
  twins: [
    { defect: 'complete_without_closure_check', refuted: 'oneWinner' },
    { defect: 'complete_without_lease', refuted: 'fenced', bounds: SERIAL },
    { defect: 'rescue_without_lock', refuted: 'oneWinner' },
    {
      defect: 'rescue_without_lock',
      refuted: 'rescueNeverUncompletes',
      bounds: RETRIED,
    },
    { defect: 'rescue_uncounted', refuted: 'attemptsCounted', bounds: SERIAL },
    { defect: 'retry_one_too_many', refuted: 'attemptsBounded' },
    { defect: 'strike_without_lock', refuted: 'freshNeverRescued' },
    { defect: 'beat_after_strike', refuted: 'struckStaysStruck' },
    { defect: 'cancel_without_lock', refuted: 'terminalIsTerminal' },
    { defect: 'promote_keeps_row', refuted: 'nowhereTwice' },
    { defect: 'release_forgets', refuted: 'nowhereLost' },
    { defect: 'save_without_lock', refuted: 'noZombieState' },
    { defect: 'drop_if_answered', refuted: 'noZombieState' },
    { defect: 'rescue_once', refuted: 'settled' },
    { defect: 'lost_claim_kept', refuted: 'settled' },
  ],
  conformance: async () => (await import('../conformance/attempts.js')).replayAttempts,
};
