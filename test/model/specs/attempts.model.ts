import type { Bounds } from '../quint-model.js';
import type { ModelRow } from '../models.js';

/** One job, and two processes that can hold it at a time. */
const SMALL: Bounds = {
  JOBS: 1,
  INSTANCES: 2,
  MAX_ATTEMPTS: 1,
  LEASES: 2,
  TRANSACTIONS: 2,
  ALL_RESULTS: false,
};

/** Several of everything, and all ways in which a handler can end. Also what is replayed. */
export const LARGE: Bounds = {
  JOBS: 3,
  INSTANCES: 4,
  MAX_ATTEMPTS: 3,
  LEASES: 6,
  TRANSACTIONS: 3,
  ALL_RESULTS: true,
};

/** A job that is retried. */
const RETRIED: Bounds = { ...SMALL, MAX_ATTEMPTS: 2, TRANSACTIONS: 1 };

export const model: ModelRow = {
  name: 'attempts',
  about: 'who may end an attempt, how often, and what is left behind',
  explore: { short: SMALL, long: { ...SMALL, MAX_ATTEMPTS: 2 } },
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
    { defect: 'complete_without_lease', refuted: 'fenced', bounds: RETRIED },
    { defect: 'rescue_without_lock', refuted: 'oneWinner' },
    {
      defect: 'rescue_without_lock',
      refuted: 'rescueNeverUncompletes',
      bounds: { ...RETRIED, TRANSACTIONS: 2 },
    },
    { defect: 'rescue_uncounted', refuted: 'attemptsCounted', bounds: RETRIED },
    { defect: 'retry_one_too_many', refuted: 'attemptsBounded' },
    { defect: 'strike_without_lock', refuted: 'freshNeverRescued' },
    { defect: 'beat_after_strike', refuted: 'struckStaysStruck' },
    { defect: 'cancel_without_lock', refuted: 'terminalIsTerminal' },
    { defect: 'promote_keeps_row', refuted: 'nowhereTwice' },
    { defect: 'release_forgets', refuted: 'nowhereLost' },
    { defect: 'save_without_lock', refuted: 'noZombieState' },
    { defect: 'drop_if_answered', refuted: 'noZombieState' },
  ],
};
