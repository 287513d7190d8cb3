import { JOB_STATES, type JobState } from '../job-state.js';
import type { SchemaName } from '../schema-name.js';
import { type SqlPort, sqlStatement } from '../sql-port.js';

/** A queue and its settings, which all processes share. What is undefined stays as it is stored. */
export interface QueueRegistration {
  readonly name: string;
  /** Milliseconds of waiting that make a job more urgent by one priority; 0: it never becomes so. */
  readonly agingMs?: number | undefined;
  /** Enqueues go to so many shards; claims to all there ever were. */
  readonly shards?: number | undefined;
  /** Most processes that claim from the queue at a time while it is hot. */
  readonly maxClaimers?: number | undefined;
}

const register = sqlStatement(
  'register_queues',
  (s) => `SELECT ${s}.register_queues($1::text[], $2::int[], $3::int[], $4::int[])`,
);

const list = sqlStatement(
  'list_queues',
  (s) => `SELECT q.name FROM ${s}.queues q ORDER BY q.name`,
  'producer',
);

const count = sqlStatement(
  'count_jobs',
  (s) => `SELECT c.state, c.jobs::text AS jobs FROM ${s}.count_jobs($1::text) c`,
  'reader',
);

/** Makes queues and their lanes known. To be done ahead of the first enqueue, outside of the caller's transactions. */
export async function registerQueues(
  port: SqlPort,
  schema: SchemaName,
  queues: readonly (string | QueueRegistration)[],
): Promise<void> {
  const given = queues.map((queue): QueueRegistration =>
    typeof queue === 'string' ? { name: queue } : queue,
  );
  await port.query(register(schema), [
    given.map(({ name }) => name),
    given.map(({ agingMs }) => agingMs ?? null),
    given.map(({ shards }) => shards ?? null),
    given.map(({ maxClaimers }) => maxClaimers ?? null),
  ]);
}

/** Names of all registered queues. */
export async function listQueues(port: SqlPort, schema: SchemaName): Promise<string[]> {
  const rows = await port.query<{ name: string }>(list(schema), []);
  return rows.map(({ name }) => name);
}

/** Exact numbers of a queue's jobs. Reads the whole backlog. */
export async function countJobs(
  port: SqlPort,
  schema: SchemaName,
  queue: string,
): Promise<Record<JobState, number>> {
  const rows = await port.query<{ state: JobState; jobs: string }>(count(schema), [queue]);
  const counts = Object.fromEntries(JOB_STATES.map((state) => [state, 0])) as Record<JobState, number>;
  for (const { state, jobs } of rows) counts[state] = Number(jobs);
  return counts;
}
