import type { SchemaName } from '../schema-name.js';
import { type SqlPort, sqlStatement } from '../sql-port.js';

/** How many jobs of one queue may be claimed. */
export interface ClaimLimit {
  readonly queue: string;
  readonly limit: number;
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

interface Row {
  readonly queue_no: number;
  readonly lane_id: number;
  readonly claim_seq: string;
  readonly item: number;
  readonly ready_slot: number;
  /** Null in a row that is about a queue; `kind` says what, then. */
  readonly id: string | null;
  readonly run_lease: number;
  readonly priority: number;
  readonly kind: string;
  readonly attempt: number;
  readonly max_attempts: number;
  readonly run_at_ms: number;
  readonly created_at_ms: number;
  readonly claimed_at_ms: number;
  readonly args: string;
  readonly payload: string | null;
  readonly unique_key: string | null;
}

// Text and numbers only: what comes back does not depend on type parsers an application may have changed.
const statement = sqlStatement(
  'claim_jobs',
  (s) => `SELECT c.queue_no, c.lane_id, c.claim_seq::text AS claim_seq, c.item, c.ready_slot,
    c.job_id::text AS id, c.run_lease, c.priority, c.kind, c.attempt, c.max_attempts,
    extract(epoch FROM c.run_at)::float8 * 1000 AS run_at_ms, extract(epoch FROM c.created_at)::float8 * 1000 AS created_at_ms,
    extract(epoch FROM c.claimed_at)::float8 * 1000 AS claimed_at_ms, c.args::text AS args, c.payload::text AS payload,
    encode(c.unique_key, 'hex') AS unique_key
  FROM ${s}.claim_jobs($1::uuid, $2::text[], $3::int[]) c`,
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
  ]);
  const claims = new Map<string, ClaimRef>();
  const jobs: ClaimedJob[] = [];
  const about: Record<string, string[]> = {};
  for (const row of rows) {
    const queue = limits[row.queue_no - 1]?.queue ?? '';
    if (row.id === null) {
      (about[row.kind] ??= []).push(queue);
      continue;
    }
    const key = `${row.lane_id}:${row.claim_seq}`;
    const claim = claims.get(key) ?? { laneId: row.lane_id, claimSeq: row.claim_seq };
    claims.set(key, claim);
    jobs.push(toClaimedJob(row, row.id, claim, queue));
  }
  return {
    jobs,
    more: about['more'] ?? [],
    contended: about['contended'] ?? [],
    refused: about['refused'] ?? [],
  };
}

function toClaimedJob(row: Row, jobId: string, claim: ClaimRef, queue: string): ClaimedJob {
  return {
    claim,
    item: row.item,
    readySlot: row.ready_slot,
    jobId,
    runLease: row.run_lease,
    queue,
    priority: row.priority,
    kind: row.kind,
    attempt: row.attempt,
    maxAttempts: row.max_attempts,
    runAt: new Date(row.run_at_ms),
    createdAt: new Date(row.created_at_ms),
    claimedAt: new Date(row.claimed_at_ms),
    argsJson: row.args,
    payloadJson: row.payload,
    uniqueKey: row.unique_key ?? undefined,
  };
}
