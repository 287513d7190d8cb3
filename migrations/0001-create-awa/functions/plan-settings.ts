/**
 * Names in a function mean Postgres' own or are qualified: an operator or function of the same name in a schema of the
 * application does not get in between. (Functions in plain SQL go without: a SET keeps them from being inlined.)
 */
export const OWN_NAMES = 'SET search_path = pg_catalog, pg_temp';

/**
 * Settings of functions on the hot path. Their tables are append-only and swing between empty and millions of rows, which
 * statistics cannot follow: a plan made while a table was empty must still be right when it is full. There is one right plan
 * for each statement, nested loops by index, and it is made once per session. (A merge join looks cheap while a segment is small, and
 * walks over all of it when it is not: it cost 250 µs a retry at 100,000 rows.)
 */
export const PLAN_BY_INDEX = `${OWN_NAMES} SET enable_seqscan = off SET enable_bitmapscan = off
SET enable_mergejoin = off SET enable_hashjoin = off SET jit = off
SET plan_cache_mode = force_generic_plan`;
