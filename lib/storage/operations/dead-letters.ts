import type { SchemaName } from '../schema-name.js';
import { type SqlPort, sqlStatement } from '../sql-port.js';
import {
  fromMicroseconds,
  microseconds,
  type Page,
  type PageRange,
  scanDepth,
  toPage,
  type WalkRow,
} from './page.js';
import { STORED_JOB, type StoredJob, type StoredJobRow, toStoredJob } from './stored-job.js';

/** Which dead letters, or failed jobs; all conditions have to hold. */
export interface DeadLetterConditions {
  readonly ids?: readonly string[] | undefined;
  readonly queue?: string | undefined;
  readonly kind?: string | undefined;
  readonly tag?: string | undefined;
  readonly reason?: string | undefined;
  /** Dead letters since then (failed jobs: failed); inclusive. */
  readonly from?: Date | undefined;
  /** Exclusive. */
  readonly to?: Date | undefined;
}

/** A dead letter as the database has it. */
export interface StoredDeadLetter extends StoredJob {
  readonly reason: string;
  readonly dlqAt: Date;
}

const PARAMETERS = `$1::bigint[], $2::text, $3::text, $4::text, $5::text, $6::timestamptz, $7::timestamptz,
    ${fromMicroseconds('$8')}, $9::bigint, $10::int, $11::int`;

const POSITION = `${microseconds('j.dlq_at')} AS key, ${microseconds('j.edge_key')} AS edge_key, j.edge_id::text AS edge_id`;

const list = sqlStatement(
  'list_dead_letters',
  (
    s,
  ) => `SELECT ${STORED_JOB}, j.reason, extract(epoch FROM j.dlq_at)::float8 * 1000 AS dlq_at_ms, ${POSITION}
  FROM ${s}.list_dead_letters(${PARAMETERS}) j`,
  'reader',
);

const walk = sqlStatement(
  'walk_dead_letters',
  (s) => `SELECT j.job_id::text AS id, ${POSITION} FROM ${s}.walk_dead_letters(${PARAMETERS}) j`,
);

type ListRow = WalkRow & StoredJobRow & { readonly reason: string; readonly dlq_at_ms: number };

/** A page of dead letters, newest first. With `ids`, all of them that are there. */
export async function listDeadLetters(
  port: SqlPort,
  schema: SchemaName,
  conditions: DeadLetterConditions,
  range: PageRange,
): Promise<Page<StoredDeadLetter>> {
  const rows = await port.query<ListRow>(list(schema), parameters(conditions, range));
  return toPage(rows, range.limit, (row) => ({
    ...toStoredJob(row),
    reason: row.reason,
    dlqAt: new Date(row.dlq_at_ms),
  }));
}

/** Ids of dead letters, oldest first: for operations on many. */
export async function walkDeadLetters(
  port: SqlPort,
  schema: SchemaName,
  conditions: DeadLetterConditions,
  range: PageRange,
): Promise<Page<string>> {
  const rows = await port.query<WalkRow>(walk(schema), parameters(conditions, range));
  return toPage(rows, range.limit, ({ id }) => id ?? '');
}

function parameters(conditions: DeadLetterConditions, { after, limit }: PageRange): unknown[] {
  const { ids, queue, kind, tag, reason, from, to } = conditions;
  const isFiltered = [kind, tag, reason, from, to].some((condition) => condition !== undefined);
  return [
    ids ?? null,
    queue ?? null,
    kind ?? null,
    tag ?? null,
    reason ?? null,
    from?.toISOString() ?? null,
    to?.toISOString() ?? null,
    after?.key ?? null,
    after?.id ?? null,
    limit,
    scanDepth(limit, isFiltered),
  ];
}
