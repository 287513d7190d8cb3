import type { QueueInfo } from '../queue-info.js';
import type { SchemaName } from '../schema-name.js';
import { type SqlPort, sqlStatement } from '../sql-port.js';

/** What one batch of a drain did. */
export interface DrainedBatch {
  readonly cancelled: number;
  /** Whether all of it was enqueued after the drain began. */
  readonly isNewer: boolean;
}

interface Row {
  readonly name: string;
  readonly created_at_ms: number;
  readonly paused_at_ms: number | null;
  readonly pause_reason: string | null;
  readonly paused_by: string | null;
  readonly aging_ms: number;
  readonly shards: number;
  readonly max_claimers: number;
  readonly target: number;
  readonly hot: boolean;
  readonly claimers: string;
}

const pause = sqlStatement(
  'pause_queue',
  (s) => `SELECT ${s}.pause_queue($1::text, $2::text, $3::text) AS found`,
);

const resume = sqlStatement('resume_queue', (s) => `SELECT ${s}.resume_queue($1::text) AS found`);

// A lease below the target that has not expired is held; the text of a number is read by JSON.parse, which no type parser changes.
const read = sqlStatement(
  'read_queues',
  (s) => `SELECT q.name, extract(epoch FROM q.created_at)::float8 * 1000 AS created_at_ms,
    extract(epoch FROM q.paused_at)::float8 * 1000 AS paused_at_ms, q.pause_reason, q.paused_by,
    q.aging_ms, q.shards::int AS shards, q.max_claimers::int AS max_claimers, c.target::int AS target, c.hot,
    (SELECT coalesce(json_agg(json_build_object('slot', l.claimer_slot, 'epoch', l.epoch) ORDER BY l.claimer_slot), '[]')::text
     FROM ${s}.queue_claimer_leases l
     WHERE l.queue = q.name AND l.claimer_slot < c.target AND l.expires_at > clock_timestamp()) AS claimers
  FROM ${s}.queues q JOIN ${s}.queue_claimer_state c ON c.queue = q.name
  WHERE $1::text IS NULL OR q.name = $1::text
  ORDER BY q.name`,
  'reader',
);

const now = sqlStatement(
  'drain_began',
  () => 'SELECT extract(epoch FROM clock_timestamp())::text AS epoch_text',
);

const drainReady = sqlStatement(
  'drain_ready',
  (s) => `SELECT d.cancelled, coalesce(d.oldest_created_at > to_timestamp($5::float8), false) AS newer
    FROM ${s}.drain_ready($1::uuid, $2::text, $3::text, $4::int) d`,
);

const drainDeferred = sqlStatement(
  'drain_deferred',
  (s) => `SELECT ${s}.drain_deferred($1::text, $2::text, $3::int) AS cancelled`,
);

/** @returns false when there is no such queue. */
export async function pauseQueue(
  port: SqlPort,
  schema: SchemaName,
  queue: string,
  reason: string | undefined,
  by: string | undefined,
): Promise<boolean> {
  const [row] = await port.query<{ found: boolean }>(pause(schema), [queue, reason ?? null, by ?? null]);
  return row?.found ?? false;
}

/** Wakes the workers. @returns false when there is no such queue. */
export async function resumeQueue(port: SqlPort, schema: SchemaName, queue: string): Promise<boolean> {
  const [row] = await port.query<{ found: boolean }>(resume(schema), [queue]);
  return row?.found ?? false;
}

/** All queues by name, or the one. */
export async function readQueues(port: SqlPort, schema: SchemaName, queue?: string): Promise<QueueInfo[]> {
  const rows = await port.query<Row>(read(schema), [queue ?? null]);
  return rows.map((row) => ({
    name: row.name,
    createdAt: new Date(row.created_at_ms),
    pausedAt: row.paused_at_ms === null ? undefined : new Date(row.paused_at_ms),
    pauseReason: row.pause_reason ?? undefined,
    pausedBy: row.paused_by ?? undefined,
    aging: row.aging_ms,
    shards: row.shards,
    maxClaimers: row.max_claimers,
    claimerTarget: row.target,
    isHot: row.hot,
    claimers: JSON.parse(row.claimers) as QueueInfo['claimers'],
  }));
}

/** The database's present, as {@link drainReadyJobs} takes it. */
export async function drainBegan(port: SqlPort, schema: SchemaName): Promise<string> {
  const [row] = await port.query<{ epoch_text: string }>(now(schema), []);
  return row?.epoch_text ?? '0';
}

/** Cancels a batch of the jobs that wait to be claimed. Must not run in a transaction of the caller's. */
export async function drainReadyJobs(
  port: SqlPort,
  schema: SchemaName,
  instanceId: string,
  drain: { readonly queue: string; readonly reason: string; readonly began: string; readonly limit: number },
): Promise<DrainedBatch> {
  const [row] = await port.query<{ cancelled: number; newer: boolean }>(drainReady(schema), [
    instanceId,
    drain.queue,
    drain.reason,
    drain.limit,
    drain.began,
  ]);
  return { cancelled: row?.cancelled ?? 0, isNewer: row?.newer ?? false };
}

/** Cancels a batch of the jobs that wait for a time. @returns how many. */
export async function drainDeferredJobs(
  port: SqlPort,
  schema: SchemaName,
  queue: string,
  reason: string,
  limit: number,
): Promise<number> {
  const [row] = await port.query<{ cancelled: number }>(drainDeferred(schema), [queue, reason, limit]);
  return row?.cancelled ?? 0;
}
