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
