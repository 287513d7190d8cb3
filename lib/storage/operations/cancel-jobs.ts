import type { SchemaName } from '../schema-name.js';
import { type SqlPort, sqlStatement } from '../sql-port.js';

/** What became of a request to cancel a job. */
export interface CancelledJob {
  readonly jobId: string;
  /** `finished`: it had ended before. `not_found`: there is none, or it is no longer kept. */
  readonly result: 'cancelled' | 'finished' | 'not_found';
  /** Whether it ran: its handler is told, and its result will not count. */
  readonly wasRunning: boolean;
}

const statement = sqlStatement(
  'cancel_jobs',
  (s) =>
    `SELECT c.job_id::text AS id, c.result, c.was_running FROM ${s}.cancel_jobs($1::bigint[], $2::text) c`,
);

/** Cancels jobs in the port's transaction, if it has one. Ids that are named twice are answered once. */
export async function cancelJobs(
  port: SqlPort,
  schema: SchemaName,
  jobIds: readonly string[],
  reason: string,
): Promise<CancelledJob[]> {
  const rows = await port.query<{ id: string; result: CancelledJob['result']; was_running: boolean }>(
    statement(schema),
    [[...jobIds], reason],
  );
  return rows.map(({ id, result, was_running }) => ({ jobId: id, result, wasRunning: was_running }));
}
