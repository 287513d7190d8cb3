import { completeAttempts } from '../../lib/storage/operations/close-attempts.js';
import { type BenchSession, SCHEMA } from './bench-session.js';

const HOT_TABLES = ['ready_entries', 'completion_batches', 'lease_claims', 'lease_claim_closures'];

/** Does a transaction that is held open leave dead rows, or cost throughput? Prints both for a minute of load. */
export async function heldTransaction(session: BenchSession, seconds: number): Promise<void> {
  const clean = await load(session, 10);
  const held = await session.another();
  await held.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
  await held.query('SELECT pg_current_xact_id(), count(*) FROM awa.queues');
  const pinned = await load(session, seconds);
  await session.client.query('SELECT pg_stat_force_next_flush()');
  await session.client.query('SELECT 1');
  const { rows } = await session.client.query(
    `SELECT regexp_replace(relname, '_\\d+$', '') AS table, sum(n_tup_ins)::int AS inserted, sum(n_tup_upd)::int AS updated,
       sum(n_tup_del)::int AS deleted, sum(n_dead_tup)::int AS dead
     FROM pg_stat_user_tables WHERE schemaname = 'awa' AND regexp_replace(relname, '_\\d+$', '') = ANY ($1) GROUP BY 1 ORDER BY 1`,
    [HOT_TABLES],
  );
  await held.query('ROLLBACK');
  await held.end();
  console.table(rows);
  console.log(
    `one session, batches of 100: ${clean.toFixed(0)} jobs/s before, ${pinned.toFixed(0)} jobs/s in ${seconds} s with a transaction ` +
      `held open, ratio ${(pinned / clean).toFixed(2)}`,
  );
}

/** Enqueue, claim, complete, in batches of 100. @returns jobs per second. */
async function load(session: BenchSession, seconds: number): Promise<number> {
  const start = performance.now();
  let done = 0;
  while (performance.now() - start < seconds * 1_000) {
    await session.enqueue(100);
    const jobs = await session.claim(100);
    await completeAttempts(session.port, SCHEMA, jobs);
    done += jobs.length;
  }
  return done / ((performance.now() - start) / 1_000);
}
