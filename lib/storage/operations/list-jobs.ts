import type { JobState } from '../job-state.js';
import type { SchemaName } from '../schema-name.js';
import { type SqlPort, sqlStatement } from '../sql-port.js';
import { type Page, type PageRange, toPage, type WalkRow } from './page.js';
import { STORED_JOB, type StoredJob, type StoredJobRow, toStoredJob } from './stored-job.js';

/** Which jobs; all conditions have to hold. */
export interface JobConditions {
  readonly ids?: readonly string[] | undefined;
  readonly state?: JobState | undefined;
  readonly queue?: string | undefined;
  readonly kind?: string | undefined;
  readonly tag?: string | undefined;
  /** Inclusive. */
  readonly createdFrom?: Date | undefined;
  /** Exclusive. */
  readonly createdTo?: Date | undefined;
}

/** Rows that a page with a filter looks at: some ten milliseconds. */
const FILTERED_SCAN = 5_000;

const statement = sqlStatement(
  'list_jobs',
  (s) => `SELECT ${STORED_JOB}, j.key, j.edge_key, j.edge_id::text AS edge_id
  FROM ${s}.list_jobs($1::bigint[], $2::text, $3::text, $4::text, $5::text, $6::timestamptz, $7::timestamptz,
    $8::text, $9::bigint, $10::int, $11::int) j`,
  'reader',
);

/** A page of jobs, newest first. With `ids`, all of them that are there. */
export async function listJobs(
  port: SqlPort,
  schema: SchemaName,
  { ids, state, queue, kind, tag, createdFrom, createdTo }: JobConditions,
  { after, limit }: PageRange,
): Promise<Page<StoredJob>> {
  // The walk of a state goes by the queue's lanes; dead letters among the failed, and jobs in any state, go by id.
  const isByQueue = state !== undefined && state !== 'failed';
  const isFiltered = [kind, tag, createdFrom, createdTo, isByQueue ? undefined : queue].some(
    (condition) => condition !== undefined,
  );
  // Of a job that was tried before, there may be several rows.
  const depth = state === undefined ? 2 * limit + 100 : limit;
  const rows = await port.query<WalkRow & StoredJobRow>(statement(schema), [
    ids ?? null,
    state ?? null,
    queue ?? null,
    kind ?? null,
    tag ?? null,
    createdFrom?.toISOString() ?? null,
    createdTo?.toISOString() ?? null,
    after?.key ?? null,
    after?.id ?? null,
    limit,
    isFiltered ? Math.max(depth, FILTERED_SCAN) : depth,
  ]);
  return toPage(rows, limit, toStoredJob);
}
