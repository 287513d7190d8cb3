import type { SchemaName } from '../schema-name.js';
import { type SqlPort, sqlStatement } from '../sql-port.js';

/** Of the session that leads; current_leader() reads the instance out of it. */
const nameOf = (instanceId: string): string => `awa leader ${instanceId}`;

/** What a session is called that does not lead. */
export const FOLLOWER_NAME = 'awa maintenance';

// The lock first, and the rest only with it: CASE does not evaluate what it does not choose.
const take = sqlStatement(
  'take_leadership',
  () => `SELECT CASE WHEN pg_catalog.pg_try_advisory_lock($1::bigint)
    THEN pg_catalog.set_config('application_name', $2::text, false) <> ''
      AND pg_catalog.set_config('idle_session_timeout', $3::int::text, false) <> ''
    ELSE false END AS taken`,
);

const keep = sqlStatement(
  'keep_leadership',
  () => `SELECT pg_catalog.set_config('application_name', $1::text, false)`,
);

// Others try as soon as they are told, and are told when this has committed: the lock is free by then.
const resign = sqlStatement(
  'resign_leadership',
  () => `SELECT pg_catalog.pg_advisory_unlock($1::bigint),
    pg_catalog.set_config('idle_session_timeout', '0', false), pg_catalog.set_config('application_name', $3::text, false),
    pg_catalog.pg_notify($2::text, '')`,
);

const current = sqlStatement(
  'current_leader',
  (s) => `SELECT ${s}.current_leader() AS instance_id`,
  'reader',
);

/**
 * Makes the session the leader's, unless another one is: for as long as the session lasts. The server ends it when it has nothing to do
 * for `idleMs` milliseconds, so whoever leads has to keep in touch. Only for a connection with a session of its own, and
 * never twice from one.
 */
export async function takeLeadership(
  port: SqlPort,
  schema: SchemaName,
  instanceId: string,
  idleMs: number,
): Promise<boolean> {
  const parameters = [schema.leaderKey, nameOf(instanceId), idleMs];
  const [row] = await port.query<{ taken: boolean }>(take(schema), parameters);
  return row?.taken ?? false;
}

/** Keeps in touch, and keeps the name up to date: a process can get another instance id. */
export async function keepLeadership(port: SqlPort, schema: SchemaName, instanceId: string): Promise<void> {
  await port.query(keep(schema), [nameOf(instanceId)]);
}

/** Gives the leadership up and tells everybody. */
export async function resignLeadership(port: SqlPort, schema: SchemaName): Promise<void> {
  await port.query(resign(schema), [schema.leaderKey, leaderChannel(schema), FOLLOWER_NAME]);
}

/** Where a leader says that it has resigned. */
export function leaderChannel({ channel }: SchemaName): string {
  return `${channel}_leader`;
}

/** Which instance leads. @returns undefined when nobody does */
export async function currentLeader(port: SqlPort, schema: SchemaName): Promise<string | undefined> {
  const [row] = await port.query<{ instance_id: string | null }>(current(schema), []);
  return row?.instance_id ?? undefined;
}
