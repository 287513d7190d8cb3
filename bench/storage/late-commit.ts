import { PgAdapter } from '../../lib/storage/adapters/pg.adapter.js';
import { type BenchSession } from './bench-session.js';

/**
 * What does it cost to find the one job of a transaction that commits after a million later ones have been claimed?
 * Prints the plan of the statement that takes rows, and the blocks the whole claim touched, against an idle claim.
 */
export async function lateCommit(session: BenchSession): Promise<void> {
  const late = await session.another();
  await late.query('BEGIN');
  await session.enqueue(1, new PgAdapter(late));
  await session.enqueue(1_000_000);
  while ((await session.claim(512)).length > 0);
  const idle = await blocks(session);

  const plans: string[] = [];
  session.client.on('notice', ({ message }) => plans.push(message ?? ''));
  await session.client.query(`
    LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0; SET auto_explain.log_nested_statements = on;
    SET auto_explain.log_analyze = on; SET auto_explain.log_buffers = on; SET auto_explain.log_timing = off;
    SET client_min_messages = log`);
  await late.query('COMMIT');
  const found = await blocks(session);
  await session.client.query('SET client_min_messages = notice; SET auto_explain.log_min_duration = -1');
  await late.end();

  const { rows } = await session.client.query<{ blocks: string }>(
    "SELECT sum(pg_relation_size(relid) / 8192)::text AS blocks FROM pg_partition_tree('awa.ready_entries') WHERE isleaf",
  );
  console.log(plans.find((plan) => plan.includes('Insert on lease_claims'))?.replace(/^/gm, '    '));
  console.log(
    `late commit with 1,000,000 jobs behind it: the claim that finds it touches ${found} blocks, ` +
      `an idle claim ${idle}, the table has ${rows[0]?.blocks}`,
  );
}

async function blocks(session: BenchSession): Promise<number> {
  const { rows } = await session.client.query<{ 'QUERY PLAN': [{ Plan: Record<string, number> }] }>(
    'EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT * FROM awa.claim_jobs($1, $2, $3)',
    [session.instanceId, [session.queue], [10]],
  );
  const plan = rows[0]?.['QUERY PLAN'][0].Plan ?? {};
  return (plan['Shared Hit Blocks'] ?? 0) + (plan['Shared Read Blocks'] ?? 0);
}
