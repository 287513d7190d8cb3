import { byteaText } from '../bytea-text.js';
import type { SchemaName } from '../schema-name.js';
import { type SqlPort, sqlStatement } from '../sql-port.js';
import type { CancelledJob } from './cancel-jobs.js';
import type { UniqueClaim } from './enqueue-unique-jobs.js';

const statement = sqlStatement(
  'cancel_unique_job',
  (s) => `SELECT c.job_id::text AS id, c.result, c.was_running
    FROM ${s}.cancel_unique_job($1::bytea, $2::bigint, $3::text) c`,
);

/**
 * Cancels the job that has a unique key, in the port's transaction, if it has one.
 *
 * @returns undefined when no job has the key
 */
export async function cancelUniqueJob(
  port: SqlPort,
  schema: SchemaName,
  { key, periodMs }: Pick<UniqueClaim, 'key' | 'periodMs'>,
  reason: string,
): Promise<CancelledJob | undefined> {
  const [row] = await port.query<{ id: string; result: CancelledJob['result']; was_running: boolean }>(
    statement(schema),
    [byteaText(key), periodMs ?? null, reason],
  );
  return row && { jobId: row.id, result: row.result, wasRunning: row.was_running };
}
