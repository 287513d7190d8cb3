import type { SchemaName } from '../schema-name.js';
import { type SqlPort, sqlStatement } from '../sql-port.js';

/** A queue and its settings, which all processes share. What is undefined stays as it is stored. */
export interface QueueRegistration {
  readonly name: string;
  /** Milliseconds of waiting that make a job more urgent by one priority; 0: it never becomes so. */
  readonly agingMs?: number | undefined;
  /** Enqueues go to so many shards; claims to all there ever were. */
  readonly shards?: number | undefined;
  /** Most processes that claim from the queue at a time while it is hot. */
  readonly maxClaimers?: number | undefined;
  /** How long its dead letters are kept, in milliseconds; 0: it has none. */
  readonly deadLetterMs?: number | undefined;
}

const register = sqlStatement(
  'register_queues',
  (s) => `SELECT ${s}.register_queues($1::text[], $2::int[], $3::int[], $4::int[], $5::float8[])`,
);

const list = sqlStatement(
  'list_queues',
  (s) => `SELECT q.name FROM ${s}.queues q ORDER BY q.name`,
  'producer',
);

/**
 * Makes queues and their lanes known. To be done ahead of the first enqueue, outside of the caller's transactions.
 */
export async function registerQueues(
  port: SqlPort,
  schema: SchemaName,
  queues: readonly (string | QueueRegistration)[],
): Promise<void> {
  const given = queues.map((queue): QueueRegistration =>
    typeof queue === 'string' ? { name: queue } : queue,
  );
  await port.query(register(schema), [
    given.map(({ name }) => name),
    given.map(({ agingMs }) => agingMs ?? null),
    given.map(({ shards }) => shards ?? null),
    given.map(({ maxClaimers }) => maxClaimers ?? null),
    given.map(({ deadLetterMs }) => deadLetterMs ?? null),
  ]);
}

/** Names of all registered queues. */
export async function listQueues(port: SqlPort, schema: SchemaName): Promise<string[]> {
  const rows = await port.query<{ name: string }>(list(schema), []);
  return rows.map(({ name }) => name);
}
