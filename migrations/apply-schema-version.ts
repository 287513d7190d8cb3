import type { QueryRunner } from 'typeorm';
import type { SchemaName } from '../lib/storage/schema-name.js';
import { readSchemaVersion } from './read-schema-version.js';
import type { SchemaVersion } from './schema-version.interface.js';

/**
 * Applies one version unless it is there. One transaction under the instance's advisory lock: of processes that start
 * together one migrates, the others wait, look again and find nothing to do. A half-applied version cannot exist.
 *
 * @returns whether it was this call that applied it.
 */
export function applySchemaVersion(
  runner: QueryRunner,
  version: SchemaVersion,
  schema: SchemaName,
): Promise<boolean> {
  return alone(runner, schema, async () => {
    if ((await readSchemaVersion(runner, schema)) >= version.version) return false;
    await createSchema(runner, schema);
    await runner.query(`CREATE TABLE IF NOT EXISTS ${schema.ident}.schema_versions (
      version int PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT clock_timestamp())`);
    for (const statement of version.up(schema)) await runner.query(statement);
    await runner.query(`INSERT INTO ${schema.ident}.schema_versions (version, name) VALUES ($1, $2)`, [
      version.version,
      version.name,
    ]);
    return true;
  });
}

/** Not CREATE SCHEMA IF NOT EXISTS: that asks for the right to create schemas even where one was made for the role. */
async function createSchema(runner: QueryRunner, schema: SchemaName): Promise<void> {
  const found: unknown[] = await runner.query('SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1', [
    schema.name,
  ]);
  if (found.length === 0) await runner.query(`CREATE SCHEMA ${schema.ident}`);
}

/** Takes one version back, with everything it holds. The schema itself goes only when it is empty, and the role's own. */
export function revertSchemaVersion(
  runner: QueryRunner,
  version: SchemaVersion,
  schema: SchemaName,
): Promise<void> {
  return alone(runner, schema, async () => {
    if ((await readSchemaVersion(runner, schema)) < version.version) return;
    for (const statement of version.down(schema)) await runner.query(statement);
    await runner.query(`DELETE FROM ${schema.ident}.schema_versions WHERE version = $1`, [version.version]);
    if (version.version > 1) return;
    await runner.query(`DROP TABLE ${schema.ident}.schema_versions`);
    await runner.query(
      `DO $awa$ BEGIN DROP SCHEMA ${schema.ident}; EXCEPTION WHEN dependent_objects_still_exist OR insufficient_privilege THEN NULL; END $awa$`,
    );
  });
}

/** Does work under the instance's advisory lock, without time limits, in a transaction: the caller's, or one of its own. */
export async function alone<Result>(
  runner: QueryRunner,
  schema: SchemaName,
  work: () => Promise<Result>,
): Promise<Result> {
  if (runner.isTransactionActive) {
    const timeLimits = await lock(runner, schema);
    const result = await work();
    // The rest of the transaction is the application's.
    for (const { name, value } of timeLimits) await setLocal(runner, name, value);
    return result;
  }
  // What is read under the lock has to be newer than the wait for it, whatever the DataSource's default.
  await runner.startTransaction('READ COMMITTED');
  try {
    await lock(runner, schema);
    const result = await work();
    await runner.commitTransaction();
    return result;
  } catch (error) {
    // When the connection is gone, so is the transaction: the first error is the one to tell.
    await runner.rollbackTransaction().catch(() => undefined);
    throw error;
  }
}

interface TimeLimit {
  readonly name: string;
  readonly value: string;
}

/** Of a role they are for its requests. Waiting for another process's migration may take longer. */
const TIME_LIMITS = ['statement_timeout', 'lock_timeout', 'transaction_timeout'];

/** @returns the time limits it has lifted for the rest of the transaction. */
async function lock(runner: QueryRunner, schema: SchemaName): Promise<TimeLimit[]> {
  const lifted: TimeLimit[] = [];
  for (const name of TIME_LIMITS) {
    const [row]: { value: string | null }[] = await runner.query(
      'SELECT current_setting($1, true) AS value',
      [name],
    );
    // transaction_timeout came with Postgres 17.
    if (row?.value == null) continue;
    lifted.push({ name, value: row.value });
    await setLocal(runner, name, '0');
  }
  await runner.query('SELECT pg_advisory_xact_lock($1::bigint)', [schema.lockKey]);
  return lifted;
}

function setLocal(runner: QueryRunner, name: string, value: string): Promise<unknown> {
  return runner.query('SELECT set_config($1, $2, true)', [name, value]);
}
