import type { JobState } from '../job-state.js';
import type { SchemaName } from '../schema-name.js';
import { type SqlPort, sqlStatement } from '../sql-port.js';

/** A job as the database has it. */
export interface StoredJob {
  readonly jobId: string;
  readonly kind: string;
  readonly queue: string;
  readonly priority: number;
  readonly state: JobState;
  readonly attempt: number;
  readonly maxAttempts: number;
  readonly runLease: number;
  readonly runAt: Date;
  readonly createdAt: Date;
  readonly attemptedAt: Date | undefined;
  readonly finalizedAt: Date | undefined;
  readonly argsJson: string;
  readonly payloadJson: string | null;
}

interface Row {
  readonly id: string;
  readonly kind: string;
  readonly queue: string;
  readonly priority: number;
  readonly state: JobState;
  readonly attempt: number;
  readonly max_attempts: number;
  readonly run_lease: number;
  readonly run_at_ms: number;
  readonly created_at_ms: number;
  readonly attempted_at_ms: number | null;
  readonly finalized_at_ms: number | null;
  readonly args: string;
  readonly payload: string | null;
}

const statement = sqlStatement(
  'get_job',
  (
    s,
  ) => `SELECT j.job_id::text AS id, j.kind, j.queue, j.priority, j.state, j.attempt, j.max_attempts, j.run_lease,
    extract(epoch FROM j.run_at)::float8 * 1000 AS run_at_ms, extract(epoch FROM j.created_at)::float8 * 1000 AS created_at_ms,
    extract(epoch FROM j.attempted_at)::float8 * 1000 AS attempted_at_ms,
    extract(epoch FROM j.finalized_at)::float8 * 1000 AS finalized_at_ms, j.args::text AS args, j.payload::text AS payload
  FROM ${s}.get_job($1::bigint) j`,
  'reader',
);

/** The job with this id as it is now, undefined when there is none or it is no longer kept. */
export async function getJob(
  port: SqlPort,
  schema: SchemaName,
  jobId: string,
): Promise<StoredJob | undefined> {
  const [row] = await port.query<Row>(statement(schema), [jobId]);
  if (row === undefined) return undefined;
  return {
    jobId: row.id,
    kind: row.kind,
    queue: row.queue,
    priority: row.priority,
    state: row.state,
    attempt: row.attempt,
    maxAttempts: row.max_attempts,
    runLease: row.run_lease,
    runAt: new Date(row.run_at_ms),
    createdAt: new Date(row.created_at_ms),
    attemptedAt: date(row.attempted_at_ms),
    finalizedAt: date(row.finalized_at_ms),
    argsJson: row.args,
    payloadJson: row.payload,
  };
}

function date(milliseconds: number | null): Date | undefined {
  return milliseconds === null ? undefined : new Date(milliseconds);
}
