import type { Bounds } from '../quint-model.js';

/** One job, and two processes that can hold it at a time. */
export const SMALL: Bounds = {
  JOBS: 1,
  INSTANCES: 2,
  MAX_ATTEMPTS: 1,
  LEASES: 2,
  TRANSACTIONS: 2,
  ALL_RESULTS: false,
  DISTURBANCES: -1,
};

/** A job that is retried. */
export const RETRIED: Bounds = { ...SMALL, MAX_ATTEMPTS: 2 };

/** All ways in which one process can end an attempt. */
export const RESULTS: Bounds = { ...SMALL, INSTANCES: 1, ALL_RESULTS: true };

/** The same, twice. */
export const RESULTS_RETRIED: Bounds = { ...RESULTS, MAX_ATTEMPTS: 2 };

/** Two jobs of one process, taken from it together or one by one. */
export const TWO_JOBS: Bounds = { ...SMALL, JOBS: 2, INSTANCES: 1, LEASES: 1 };

/** Several of everything, and all ways in which a handler can end. For random walks, and to be replayed. */
export const LARGE: Bounds = {
  JOBS: 4,
  INSTANCES: 8,
  MAX_ATTEMPTS: 3,
  LEASES: 6,
  TRANSACTIONS: 3,
  ALL_RESULTS: true,
  DISTURBANCES: 12,
};

/** All that can happen to one job in one attempt: one that is not its last, and one that is. More attempts are the same again. */
export const PROJECTED: readonly Bounds[] = [2, 1].map((maxAttempts) => ({
  ...SMALL,
  INSTANCES: 1,
  MAX_ATTEMPTS: maxAttempts,
  LEASES: 1,
  TRANSACTIONS: 1,
  ALL_RESULTS: true,
}));
