import { arrayText } from '../array-text.js';
import type { SchemaName } from '../schema-name.js';
import { type SqlPort, sqlStatement } from '../sql-port.js';

/** A job as it goes into the database: checked, and its JSON as text. */
export interface NewJob {
  readonly queue: string;
  readonly priority: number;
  readonly kind: string;
  readonly argsJson: string;
  readonly maxAttempts: number;
  readonly runAt: Date | undefined;
  readonly delayMs: number | undefined;
  readonly payloadJson: string | undefined;
  /** Jobs of one key go to one shard. */
  readonly orderingKey?: string | undefined;
}

// The ids come in the order of the input: a set-returning function in FROM keeps its order.
const statement = sqlStatement(
  'enqueue_jobs',
  (s) => `SELECT e.job_id::text AS id FROM ${s}.enqueue_jobs(
    $1::text[], $2::int[], $3::text[], $4::text[], $5::int[], $6::timestamptz[], $7::float8[], $8::text[], $9::text[]) AS e(job_id)`,
  'producer',
);

/** Inserts jobs with one statement, in the port's transaction if it has one, and gives their ids in the same order. */
export async function enqueueJobs(
  port: SqlPort,
  schema: SchemaName,
  jobs: readonly NewJob[],
): Promise<string[]> {
  const rows = await port.query<{ id: string }>(statement(schema), enqueueArrays(jobs));
  return rows.map((row) => row.id);
}

/** What is inserted, a parameter a column. */
export function enqueueArrays(jobs: readonly NewJob[]): string[] {
  return [
    arrayText(jobs, (job) => job.queue),
    arrayText(jobs, (job) => job.priority),
    arrayText(jobs, (job) => job.kind),
    arrayText(jobs, (job) => job.argsJson),
    arrayText(jobs, (job) => job.maxAttempts),
    arrayText(jobs, (job) => job.runAt?.toISOString()),
    arrayText(jobs, (job) => job.delayMs),
    arrayText(jobs, (job) => job.payloadJson),
    arrayText(jobs, (job) => job.orderingKey),
  ];
}
