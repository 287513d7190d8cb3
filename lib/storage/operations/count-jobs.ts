import { JOB_STATES, type JobState } from '../job-state.js';
import type { SchemaName } from '../schema-name.js';
import { type SqlPort, sqlStatement } from '../sql-port.js';

/** A number of jobs. @publicApi */
export interface JobCount {
  readonly count: number;
  /** False: it is more than the cap, and about so many. */
  readonly exact: boolean;
}

interface Row {
  readonly jobs: string;
  readonly exact: boolean;
}

const byState = sqlStatement(
  'count_jobs',
  (s) => `SELECT c.state, c.jobs::text AS jobs, c.exact FROM ${s}.count_jobs($1::text, $2::int) c`,
  'reader',
);

const deadLetters = sqlStatement(
  'dead_letter_depth',
  (s) =>
    `SELECT d.queue, d.jobs::text AS jobs, d.exact FROM ${s}.dead_letter_depth($1::int) d ORDER BY d.queue`,
  'reader',
);

const oldest = sqlStatement(
  'oldest_waiting',
  (s) => `SELECT extract(epoch FROM ${s}.oldest_waiting($1::text))::float8 * 1000 AS age_ms`,
  'reader',
);

/** Numbers of a queue's jobs by state, exact up to the cap. */
export async function countJobs(
  port: SqlPort,
  schema: SchemaName,
  queue: string,
  cap: number,
): Promise<Record<JobState, JobCount>> {
  const rows = await port.query<Row & { state: JobState }>(byState(schema), [queue, cap]);
  const found = new Map(rows.map((row) => [row.state, toCount(row)]));
  return Object.fromEntries(
    JOB_STATES.map((state) => [state, found.get(state) ?? { count: 0, exact: true }]),
  ) as Record<JobState, JobCount>;
}

/** Numbers of dead letters by queue, exact up to the cap. */
export async function countDeadLetters(
  port: SqlPort,
  schema: SchemaName,
  cap: number,
): Promise<Record<string, JobCount>> {
  const rows = await port.query<Row & { queue: string }>(deadLetters(schema), [cap]);
  return Object.fromEntries(rows.map((row) => [row.queue, toCount(row)]));
}

/** For how many milliseconds the oldest waiting job of a queue has been due; undefined: none waits. */
export async function oldestWaiting(
  port: SqlPort,
  schema: SchemaName,
  queue: string,
): Promise<number | undefined> {
  const [row] = await port.query<{ age_ms: number | null }>(oldest(schema), [queue]);
  return row?.age_ms ?? undefined;
}

function toCount({ jobs, exact }: Row): JobCount {
  return { count: Number(jobs), exact };
}
