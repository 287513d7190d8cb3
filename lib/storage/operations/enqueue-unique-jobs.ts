import { byteaText } from '../bytea-text.js';
import type { SchemaName } from '../schema-name.js';
import { type SqlPort, sqlStatement } from '../sql-port.js';
import { enqueueArrays, type NewJob } from './enqueue-jobs.js';

/** What makes a job unique, as the database takes it. */
export interface UniqueClaim {
  /** Hexadecimal, without the period's window: that is the database's to say. */
  readonly key: string;
  /** Length of the windows in milliseconds; undefined: the key is not of a window. */
  readonly periodMs: number | undefined;
  /** Terminal states that hold the key. */
  readonly heldAfter: readonly string[];
}

/** A job that is enqueued only when no other one has its key. */
export interface NewUniqueJob extends NewJob {
  readonly unique: UniqueClaim;
}

/** What became of a unique job: enqueued under this id, or it is this other job that has the key. */
export interface UniqueEnqueue {
  readonly id: string;
  readonly deduplicated: boolean;
}

const statement = sqlStatement(
  'enqueue_unique_jobs',
  (s) => `SELECT e.job_id::text AS id, e.deduplicated FROM ${s}.enqueue_unique_jobs(
    $1::text[], $2::int[], $3::text[], $4::text[], $5::int[], $6::timestamptz[], $7::float8[], $8::text[],
    $9::text[], $10::bytea[], $11::bigint[], $12::text[]) e`,
  'producer',
);

/**
 * Inserts those of the jobs that get their keys, with one statement, in the port's transaction if it has one.
 *
 * @returns what became of each, in order; undefined when a key belongs to a job that the transaction's snapshot does not
 *   show (REPEATABLE READ and SERIALIZABLE only): then nothing was inserted, and the transaction is usable.
 */
export async function enqueueUniqueJobs(
  port: SqlPort,
  schema: SchemaName,
  jobs: readonly NewUniqueJob[],
): Promise<UniqueEnqueue[] | undefined> {
  const rows = await port.query<{ id: string | null; deduplicated: boolean }>(statement(schema), [
    ...enqueueArrays(jobs),
    jobs.map(({ unique }) => byteaText(unique.key)),
    jobs.map(({ unique }) => unique.periodMs ?? null),
    jobs.map(({ unique }) => unique.heldAfter.join(',')),
  ]);
  const results = rows.flatMap(({ id, deduplicated }) => (id === null ? [] : [{ id, deduplicated }]));
  return results.length === jobs.length ? results : undefined;
}
