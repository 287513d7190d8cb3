import type { SchemaName } from '../schema-name.js';
import { type SqlPort, sqlStatement } from '../sql-port.js';

/** The rings of partitions: runnable work and its completions, claims and their closures, failed and cancelled jobs. */
export type RingName = 'ready' | 'claim' | 'done';

/** One generation of a ring that holds something. All ages in milliseconds, by the database's clock. */
export interface RingSegment {
  readonly ring: RingName;
  readonly generation: string;
  readonly slot: number;
  readonly openedAgoMs: number;
  /** Undefined for the generation that is written now. */
  readonly sealedAgoMs: number | undefined;
  readonly bytes: number;
  /** Nothing was written to it; undefined when it is not said, since it is not to be sealed for its age. */
  readonly isIdle?: boolean | undefined;
}

interface Row {
  readonly ring: RingName;
  readonly generation: string;
  readonly slot: number;
  readonly opened_ago_ms: number;
  readonly sealed_ago_ms: number | null;
  readonly bytes: string;
  readonly is_idle: boolean | null;
}

// Whether anything was written is asked of what is old enough to be sealed: it may mean a walk over dead rows.
const list = sqlStatement(
  'ring_segments',
  (s) => `SELECT r.ring, g.generation::text AS generation, g.slot,
    extract(epoch FROM clock_timestamp() - g.opened_at)::float8 * 1000 AS opened_ago_ms,
    extract(epoch FROM clock_timestamp() - g.sealed_at)::float8 * 1000 AS sealed_ago_ms, g.bytes::text AS bytes,
    CASE WHEN g.sealed_at IS NULL AND extract(epoch FROM clock_timestamp() - g.opened_at) * 1000 >= r.period_ms
      THEN ${s}.ring_is_idle(r.ring, g.slot, g.opened_at) END AS is_idle
  FROM (VALUES ('ready', $1::float8), ('claim', $2::float8), ('done', $3::float8)) AS r(ring, period_ms)
  CROSS JOIN LATERAL ${s}.ring_segments(r.ring) g
  ORDER BY r.ring, g.generation`,
);

const rotate = sqlStatement('rotate_ring', (s) => `SELECT ${s}.rotate_ring($1::text, $2::bigint) AS blocker`);

const prune = sqlStatement(
  'prune_ring',
  (s) => `SELECT ${s}.prune_ring($1::text, $2::bigint, $3::float8 * interval '1 millisecond') AS blocker`,
);

/** What is in the way of a reclaim that will be possible in time, as prune_ring says it. */
export const STILL_KEPT = 'completed jobs of it are still kept';

/**
 * Every generation that holds something, each ring's oldest first.
 *
 * @param periods the age in milliseconds from which on a ring's segment is to be sealed; left out: none is
 */
export async function listRingSegments(
  port: SqlPort,
  schema: SchemaName,
  periods: Readonly<Partial<Record<RingName, number>>> = {},
): Promise<RingSegment[]> {
  const { ready = null, claim = null, done = null } = periods;
  const rows = await port.query<Row>(list(schema), [ready, claim, done]);
  return rows.map((row) => ({
    ring: row.ring,
    generation: row.generation,
    slot: row.slot,
    openedAgoMs: row.opened_ago_ms,
    sealedAgoMs: row.sealed_ago_ms ?? undefined,
    bytes: Number(row.bytes),
    isIdle: row.is_idle ?? undefined,
  }));
}

/** Seals the current generation. @returns what is in the way, undefined when it was done. */
export async function rotateRing(
  port: SqlPort,
  schema: SchemaName,
  { ring, generation }: RingSegment,
): Promise<string | undefined> {
  const [row] = await port.query<{ blocker: string | null }>(rotate(schema), [ring, generation]);
  return row?.blocker ?? undefined;
}

/**
 * Empties a sealed generation.
 *
 * @param keepMs completed jobs are kept for so long after their completion
 * @returns what is in the way, undefined when it was done.
 */
export async function pruneRing(
  port: SqlPort,
  schema: SchemaName,
  { ring, generation }: RingSegment,
  keepMs = 0,
): Promise<string | undefined> {
  const [row] = await port.query<{ blocker: string | null }>(prune(schema), [ring, generation, keepMs]);
  return row?.blocker ?? undefined;
}
