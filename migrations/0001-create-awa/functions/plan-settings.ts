/**
 * Settings of functions on the hot path. Their tables are append-only and swing between empty and millions of rows, which
 * statistics cannot follow: a plan made while a table was empty must still be right when it is full. There is one right plan
 * for each statement, by index, and it is made once per session.
 */
export const PLAN_BY_INDEX =
  'SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan';
