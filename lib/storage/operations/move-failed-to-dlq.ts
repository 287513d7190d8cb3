import type { SchemaName } from '../schema-name.js';
import { type SqlPort, sqlStatement } from '../sql-port.js';
import type { DeadLetterConditions } from './dead-letters.js';
import { type Page, type PageRange, scanDepth, toPage, type WalkRow } from './page.js';

const walk = sqlStatement(
  'walk_failed_jobs',
  (s) => `SELECT j.job_id::text AS id, NULL AS key, NULL AS edge_key, j.edge_id::text AS edge_id
  FROM ${s}.walk_failed_jobs($1::bigint[], $2::text, $3::text, $4::text, $5::timestamptz, $6::timestamptz, $7::bigint,
    $8::int, $9::int) j`,
);

const move = sqlStatement(
  'move_failed_to_dlq',
  (s) => `SELECT m.id::text AS id FROM ${s}.move_failed_to_dlq($1::bigint[], $2::text) AS m(id)`,
);

/** Ids of failed jobs that are not dead letters, oldest first. */
export async function walkFailedJobs(
  port: SqlPort,
  schema: SchemaName,
  { ids, queue, kind, tag, from, to }: DeadLetterConditions,
  { after, limit }: PageRange,
): Promise<Page<string>> {
  const isFiltered = [kind, tag, from, to].some((condition) => condition !== undefined);
  const rows = await port.query<WalkRow>(walk(schema), [
    ids ?? null,
    queue ?? null,
    kind ?? null,
    tag ?? null,
    from?.toISOString() ?? null,
    to?.toISOString() ?? null,
    after?.id ?? null,
    limit,
    scanDepth(limit, isFiltered),
  ]);
  return toPage(rows, limit, ({ id }) => id ?? '');
}

/** Makes dead letters of failed jobs; one that another transaction is at is left out. @returns their ids. */
export async function moveFailedToDlq(
  port: SqlPort,
  schema: SchemaName,
  ids: readonly string[],
  reason: string,
): Promise<string[]> {
  const rows = await port.query<{ id: string }>(move(schema), [[...ids], reason]);
  return rows.map(({ id }) => id);
}
