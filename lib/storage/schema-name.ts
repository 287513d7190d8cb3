import { createHash } from 'node:crypto';
import { InvalidOptionsError } from '../errors/index.js';

/** Everything that is derived from the name of the schema an instance lives in. */
export interface SchemaName {
  /** As the user wrote it, case kept: `awa`, `Order`, `MyJobs`. */
  readonly name: string;
  /** Quoted for SQL: `"awa"`. Reserved words and mixed case are safe. */
  readonly ident: string;
  /** LISTEN/NOTIFY channel for wake-ups. Channels are global to a database, so it carries the schema. */
  readonly channel: string;
  /** Key for advisory locks of this instance (a signed 64-bit integer, as decimal text). */
  readonly lockKey: string;
  /** Key of the session-level advisory lock that the leader holds: another one, or a migration would wait for the leader's death. */
  readonly leaderKey: string;
}

export const DEFAULT_SCHEMA = 'awa';

/**
 * Validates a schema name and derives the names and keys that depend on it.
 *
 * Two instances in two schemas of one database get different channels and different lock keys: they never
 * wake and never wait for each other.
 *
 * @param name letters, digits and underscores, not starting with a digit or `pg_`, at most 63 bytes
 *   (Postgres' limit for an identifier). Reserved words and mixed case are fine.
 * @throws InvalidOptionsError when the name cannot be a schema name.
 * @example schemaName('Order').ident // '"Order"'
 */
export function schemaName(name: string = DEFAULT_SCHEMA): SchemaName {
  if (!/^[\p{L}_][\p{L}\p{N}_]*$/u.test(name) || Buffer.byteLength(name) > 63 || /^pg_/i.test(name)) {
    throw new InvalidOptionsError('schema', [
      `schema ${JSON.stringify(name)} is not usable: take letters, digits and underscores, ` +
        'not starting with a digit or "pg_", at most 63 bytes',
    ]);
  }
  const digest = createHash('sha256').update(`awa:${name}`).digest();
  return Object.freeze({
    name,
    ident: `"${name}"`,
    channel: `awa_${digest.toString('hex', 0, 10)}`,
    lockKey: digest.readBigInt64BE(10).toString(),
    leaderKey: createHash('sha256').update(`awa leader:${name}`).digest().readBigInt64BE(0).toString(),
  });
}
