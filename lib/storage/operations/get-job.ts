import type { SchemaName } from '../schema-name.js';
import { type SqlPort, sqlStatement } from '../sql-port.js';
import { STORED_JOB, type StoredJob, type StoredJobRow, toStoredJob } from './stored-job.js';

const statement = sqlStatement(
  'get_job',
  (s) => `SELECT ${STORED_JOB} FROM ${s}.get_job($1::bigint) j`,
  'reader',
);

/** The job with this id as it is now, undefined when there is none or it is no longer kept. */
export async function getJob(
  port: SqlPort,
  schema: SchemaName,
  jobId: string,
): Promise<StoredJob | undefined> {
  const [row] = await port.query<StoredJobRow>(statement(schema), [jobId]);
  return row === undefined ? undefined : toStoredJob(row);
}
