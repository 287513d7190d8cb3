import type { SchemaName } from '../schema-name.js';
import { type SqlPort, sqlStatement } from '../sql-port.js';

/** How many jobs of one queue may be claimed. */
export interface ClaimLimit {
  readonly queue: string;
  readonly limit: number;
  /** The one priority in which the queue is known to have jobs. Default 0: any. */
  readonly priority?: number;
}

/** One claim of one lane: what the attempts in it have in common. */
export interface ClaimRef {
  readonly laneId: number;
  readonly claimSeq: string;
}

/** What a claim got. */
export interface Claim {
  readonly jobs: readonly ClaimedJob[];
  /** Queues of which there is more to be had at once: the claim was cut for its size. */
  readonly more: readonly string[];
  /** Queues with jobs in lanes from which somebody else was claiming. */
  readonly contended: readonly string[];
  /** Hot queues with jobs that only others may claim now. */
  readonly refused: readonly string[];
}

/** One claimed attempt, with all that its handler and its closing need. */
export interface ClaimedJob {
  readonly claim: ClaimRef;
  /** Position in the claim, from 1. */
  readonly item: number;
  readonly readySlot: number;
  readonly jobId: string;
  readonly runLease: number;
  readonly queue: string;
  readonly priority: number;
  readonly kind: string;
  readonly attempt: number;
  readonly maxAttempts: number;
  readonly runAt: Date;
  readonly createdAt: Date;
  readonly claimedAt: Date;
  readonly argsJson: string;
  readonly payloadJson: string | null;
  /** Hexadecimal; undefined for a job without. */
  readonly uniqueKey: string | undefined;
}

/** Of a claim, which is the same for all its rows, only the first one tells. */
interface Row {
  /** Position of the queue in the call, from 1; null behind the first row of a claim. */
  readonly queue_no: number | null;
  readonly lane_id: number | null;
  readonly claim_seq: string | null;
  readonly priority: number | null;
  readonly claimed_at_ms: number | null;
  readonly item: number;
  readonly ready_slot: number;
  /** Null in a row that is about a queue; `kind` says what, then. */
  readonly id: string | null;
  readonly run_lease: number;
  readonly kind: string;
  readonly attempt: number;
  readonly max_attempts: number;
  readonly run_at_ms: number;
  /** Null: as `run_at_ms`. */
  readonly created_at_ms: number | null;
  readonly args: string;
  readonly payload: string | null;
  readonly unique_key: string | null;
}

// Text and numbers only: what comes back does not depend on type parsers an application may have changed. The rows of a claim come one
// after the other, in the order of its items, as the function returns them. A null costs next to nothing to send and to read.
const statement = sqlStatement(
  'claim_jobs',
  (
    s,
  ) => `SELECT CASE WHEN c.item > 1 THEN NULL ELSE c.queue_no END AS queue_no, CASE WHEN c.item = 1 THEN c.lane_id END AS lane_id,
    CASE WHEN c.item = 1 THEN c.claim_seq::text END AS claim_seq, CASE WHEN c.item = 1 THEN c.priority END AS priority,
    CASE WHEN c.item = 1 THEN date_part('epoch', c.claimed_at) * 1000 END AS claimed_at_ms, c.item, c.ready_slot,
    c.job_id::text AS id, c.run_lease, c.kind, c.attempt, c.max_attempts, date_part('epoch', c.run_at) * 1000 AS run_at_ms,
    CASE WHEN c.created_at <> c.run_at THEN date_part('epoch', c.created_at) * 1000 END AS created_at_ms, c.args::text AS args,
    c.payload::text AS payload, encode(c.unique_key, 'hex') AS unique_key
  FROM ${s}.claim_jobs($1::uuid, $2::text[], $3::int[], false, $4::int[]) c`,
);

/** Claims for all the queues with one statement. Must not run in a transaction of the caller's. */
export async function claimJobs(
  port: SqlPort,
  schema: SchemaName,
  instanceId: string,
  limits: readonly ClaimLimit[],
): Promise<Claim> {
  const rows = await port.query<Row>(statement(schema), [
    instanceId,
    limits.map(({ queue }) => queue),
    limits.map(({ limit }) => limit),
    limits.map(({ priority = 0 }) => priority),
  ]);
  const jobs: ClaimedJob[] = [];
  const about: Record<string, string[]> = {};
  let claim: ClaimHead | undefined;
  for (const row of rows) {
    if (row.id === null) (about[row.kind] ??= []).push(queueOf(row, limits));
    else jobs.push(toClaimedJob(row, row.id, (claim = headOf(row, limits) ?? claim)));
  }
  return {
    jobs,
    more: about['more'] ?? [],
    contended: about['contended'] ?? [],
    refused: about['refused'] ?? [],
  };
}

/** What a claim's first row tells. */
interface ClaimHead {
  readonly ref: ClaimRef;
  readonly queue: string;
  readonly priority: number;
  readonly claimedAt: Date;
}

function queueOf({ queue_no }: Row, limits: readonly ClaimLimit[]): string {
  return limits[(queue_no ?? 0) - 1]?.queue ?? '';
}

/** Undefined of a row that is not the first one. */
function headOf(row: Row, limits: readonly ClaimLimit[]): ClaimHead | undefined {
  const { lane_id, claim_seq, priority, claimed_at_ms } = row;
  if (lane_id === null || claim_seq === null || priority === null || claimed_at_ms === null) return undefined;
  return {
    ref: { laneId: lane_id, claimSeq: claim_seq },
    queue: queueOf(row, limits),
    priority,
    claimedAt: new Date(claimed_at_ms),
  };
}

function toClaimedJob(row: Row, jobId: string, claim: ClaimHead | undefined): ClaimedJob {
  if (claim === undefined) throw new Error('claim_jobs answered with an item of a claim it had not named');
  return {
    claim: claim.ref,
    item: row.item,
    readySlot: row.ready_slot,
    jobId,
    runLease: row.run_lease,
    queue: claim.queue,
    priority: claim.priority,
    kind: row.kind,
    attempt: row.attempt,
    maxAttempts: row.max_attempts,
    runAt: new Date(row.run_at_ms),
    createdAt: new Date(row.created_at_ms ?? row.run_at_ms),
    claimedAt: claim.claimedAt,
    argsJson: row.args,
    payloadJson: row.payload,
    uniqueKey: row.unique_key ?? undefined,
  };
}
