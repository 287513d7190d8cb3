import type { TestDatabase } from './test-database.js';

/** Shared blocks that a statement touches, index and heap, in all the statements within it. It is run. */
export async function sharedBlocks(
  database: Pick<TestDatabase, 'query'>,
  text: string,
  values: unknown[],
): Promise<number> {
  const { rows } = await database.query<{ 'QUERY PLAN': [{ Plan: Record<string, number> }] }>(
    `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ${text}`,
    values,
  );
  const plan = rows[0]!['QUERY PLAN'][0].Plan;
  return plan['Shared Hit Blocks']! + plan['Shared Read Blocks']!;
}
