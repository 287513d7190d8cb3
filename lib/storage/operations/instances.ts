import type { SchemaName } from '../schema-name.js';
import { type SqlPort, type SqlStatement, sqlStatement } from '../sql-port.js';
import type { ClaimRef } from './claim-jobs.js';
import { CLAIM_PAGE, type ClaimPage, type RescuedAttempt, walkClaims } from './claim-pages.js';

/** Time-outs of attempts in milliseconds, by kind and by queue; a kind's goes before its queue's, and 0 is none. */
export interface InstanceTimeouts {
  readonly kinds: Readonly<Record<string, number>>;
  readonly queues: Readonly<Record<string, number>>;
}

/** A worker process as others see it. */
export interface RuntimeInstance {
  readonly instanceId: string;
  readonly hostname: string;
  readonly pid: number;
  readonly version: string;
  readonly queues: readonly string[];
  /** Without a heartbeat for so many milliseconds it counts as dead. */
  readonly staleAfterMs: number;
  /** After which of its attempts should have ended; undefined: it has no time-outs. */
  readonly timeouts?: InstanceTimeouts | undefined;
}

const register = sqlStatement(
  'register_instance',
  (s) => `WITH r AS (
    INSERT INTO ${s}.runtime_instances (instance_id, hostname, pid, version, queues, stale_after, timeouts)
    VALUES ($1::uuid, $2::text, $3::int, $4::text, $5::text[], $6::float8 * interval '1 millisecond', $7::jsonb)
    RETURNING 1
  ) SELECT count(*) FROM r`,
);

const deregister = sqlStatement(
  'deregister_instance',
  (s) =>
    `WITH d AS (DELETE FROM ${s}.runtime_instances WHERE instance_id = $1::uuid RETURNING 1) SELECT count(*) FROM d`,
);

const beat = sqlStatement('heartbeat', (s) => `SELECT ${s}.heartbeat($1::uuid) AS "isAlive"`);

const rescue = sqlStatement(
  'rescue_attempts',
  (s) =>
    `SELECT ${CLAIM_PAGE}, p.ended::text AS ended, p.next_in_ms FROM ${s}.rescue_attempts($1::uuid, $2::float8, $3::int, $4::int, $5::bigint) p`,
);

const release = sqlStatement(
  'release_unknown_claims',
  (s) =>
    `SELECT p.attempts AS released FROM ${s}.take_over_attempts($1::uuid, $2::int[], $3::bigint[], 'released', NULL, 1000) p`,
);

export async function registerInstance(
  port: SqlPort,
  schema: SchemaName,
  instance: RuntimeInstance,
): Promise<void> {
  const { instanceId, hostname, pid, version, queues, staleAfterMs, timeouts } = instance;
  await port.query(register(schema), [
    instanceId,
    hostname,
    pid,
    version,
    [...queues],
    staleAfterMs,
    timeouts === undefined ? null : JSON.stringify(timeouts),
  ]);
}

/** For an instance that holds nothing any more. */
export async function deregisterInstance(
  port: SqlPort,
  schema: SchemaName,
  instanceId: string,
): Promise<void> {
  await port.query(deregister(schema), [instanceId]);
}

/** For a connection that is no port: takes the instance, answers a row with `isAlive`. */
export function heartbeatStatement(schema: SchemaName): SqlStatement {
  return beat(schema);
}

/** @returns false when the instance was declared lost: its attempts are somebody else's now. */
export async function heartbeat(port: SqlPort, schema: SchemaName, instanceId: string): Promise<boolean> {
  const [row] = await port.query<{ isAlive: boolean }>(beat(schema), [instanceId]);
  return row?.isAlive ?? false;
}

/**
 * Takes attempts from instances whose heartbeat has stopped.
 *
 * @param self the instance that asks; it does not judge itself
 * @param contactMs for how long its contact with the server has been unbroken: longer silences are nobody's fault
 * @param limit claims to take over with one statement
 * @param onRefused told of each attempt that could not be taken: it stays open, and holds up no other
 * @param onRescued told of those that were
 * @param onNext told in how many milliseconds the next instance could be declared lost; undefined: there is no other
 * @returns how many attempts it took.
 */
export async function rescueAttempts(
  port: SqlPort,
  schema: SchemaName,
  self: string,
  contactMs: number,
  limit: number,
  onRefused: (what: string) => void = () => undefined,
  onRescued: (attempts: readonly RescuedAttempt[]) => void = () => undefined,
  onNext: (inMs: number | undefined) => void = () => undefined,
): Promise<number> {
  let nextInMs: number | undefined;
  const { attempts, refused, ended } = await walkClaims(async (lane, seq) => {
    const parameters = [self, contactMs, limit, lane, seq];
    const rows = await port.query<ClaimPage & { next_in_ms: number | null }>(rescue(schema), parameters);
    nextInMs = rows[0]?.next_in_ms ?? undefined;
    return rows;
  });
  onNext(nextInMs);
  refused.forEach(onRefused);
  if (ended.length > 0) onRescued(ended);
  return attempts;
}

/**
 * Hands back what an instance holds in the database without knowing: claims whose answer never came.
 *
 * @param known the claims it does know
 * @returns how many attempts.
 */
export async function releaseUnknownClaims(
  port: SqlPort,
  schema: SchemaName,
  instanceId: string,
  known: readonly ClaimRef[],
): Promise<number> {
  const [row] = await port.query<{ released: number }>(release(schema), [
    instanceId,
    known.map(({ laneId }) => laneId),
    known.map(({ claimSeq }) => claimSeq),
  ]);
  return row?.released ?? 0;
}
