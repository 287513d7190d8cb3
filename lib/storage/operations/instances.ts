import type { SchemaName } from '../schema-name.js';
import { type SqlPort, sqlStatement } from '../sql-port.js';
import type { ClaimRef } from './claim-jobs.js';

/** A worker process as others see it. */
export interface RuntimeInstance {
  readonly instanceId: string;
  readonly hostname: string;
  readonly pid: number;
  readonly version: string;
  readonly queues: readonly string[];
  /** Without a heartbeat for so many milliseconds it counts as dead. */
  readonly staleAfterMs: number;
}

const register = sqlStatement(
  'register_instance',
  (s) => `WITH r AS (
    INSERT INTO ${s}.runtime_instances (instance_id, hostname, pid, version, queues, stale_after)
    VALUES ($1::uuid, $2::text, $3::int, $4::text, $5::text[], $6::float8 * interval '1 millisecond') RETURNING 1
  ) SELECT count(*) FROM r`,
);

const deregister = sqlStatement(
  'deregister_instance',
  (s) =>
    `WITH d AS (DELETE FROM ${s}.runtime_instances WHERE instance_id = $1::uuid RETURNING 1) SELECT count(*) FROM d`,
);

const beat = sqlStatement('heartbeat', (s) => `SELECT ${s}.heartbeat($1::uuid) AS alive`);

const rescue = sqlStatement(
  'rescue_attempts',
  (s) => `SELECT ${s}.rescue_attempts($1::uuid, $2::float8, $3::int) AS rescued`,
);

const release = sqlStatement(
  'release_unknown_claims',
  (s) =>
    `SELECT ${s}.take_over_attempts($1::uuid, $2::int[], $3::bigint[], 'released', NULL, 1000) AS released`,
);

export async function registerInstance(
  port: SqlPort,
  schema: SchemaName,
  instance: RuntimeInstance,
): Promise<void> {
  const { instanceId, hostname, pid, version, queues, staleAfterMs } = instance;
  await port.query(register(schema), [instanceId, hostname, pid, version, [...queues], staleAfterMs]);
}

/** For an instance that holds nothing any more. */
export async function deregisterInstance(
  port: SqlPort,
  schema: SchemaName,
  instanceId: string,
): Promise<void> {
  await port.query(deregister(schema), [instanceId]);
}

/** @returns false when the instance was declared lost: its attempts are somebody else's now. */
export async function heartbeat(port: SqlPort, schema: SchemaName, instanceId: string): Promise<boolean> {
  const [row] = await port.query<{ alive: boolean }>(beat(schema), [instanceId]);
  return row?.alive ?? false;
}

/**
 * Takes attempts from instances whose heartbeat has stopped.
 *
 * @param self the instance that asks; it does not judge itself
 * @param contactMs for how long its contact with the server has been unbroken: longer silences are nobody's fault
 * @param limit claims to take over at most
 * @returns how many attempts it took.
 */
export async function rescueAttempts(
  port: SqlPort,
  schema: SchemaName,
  self: string,
  contactMs: number,
  limit: number,
): Promise<number> {
  const [row] = await port.query<{ rescued: number }>(rescue(schema), [self, contactMs, limit]);
  return row?.rescued ?? 0;
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
