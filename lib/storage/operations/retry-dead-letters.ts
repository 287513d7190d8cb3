import type { SchemaName } from '../schema-name.js';
import { type SqlPort, sqlStatement } from '../sql-port.js';

/** What a retried job gets that it did not have. */
export interface RetryOverrides {
  readonly queue?: string | undefined;
  readonly priority?: number | undefined;
  readonly maxAttempts?: number | undefined;
  readonly runAt?: Date | undefined;
  readonly delayMs?: number | undefined;
}

const statement = sqlStatement(
  'retry_dead_letters',
  (s) => `SELECT r.job_id::text AS id, r.retried FROM ${s}.retry_dead_letters(
    $1::bigint[], $2::boolean, $3::text, $4::int, $5::int, $6::timestamptz, $7::float8) r`,
);

/**
 * Puts dead letters back into a queue.
 *
 * @param wait for another transaction that is at one of them; otherwise that one is left out
 * @returns the ids of those that are back, and of those that were cancelled because another job has their unique key by now.
 */
export async function retryDeadLetters(
  port: SqlPort,
  schema: SchemaName,
  ids: readonly string[],
  wait: boolean,
  { queue, priority, maxAttempts, runAt, delayMs }: RetryOverrides,
): Promise<{ retried: string[]; cancelled: string[] }> {
  const rows = await port.query<{ id: string; retried: boolean }>(statement(schema), [
    [...ids],
    wait,
    queue ?? null,
    priority ?? null,
    maxAttempts ?? null,
    runAt?.toISOString() ?? null,
    delayMs ?? null,
  ]);
  const idsOf = (isBack: boolean) => rows.filter(({ retried }) => retried === isBack).map(({ id }) => id);
  return { retried: idsOf(true), cancelled: idsOf(false) };
}
