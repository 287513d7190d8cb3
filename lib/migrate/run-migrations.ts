import { DataSource, type QueryRunner } from 'typeorm';
import { applySchemaVersion } from '../../migrations/apply-schema-version.js';
import { readSchemaVersion } from '../../migrations/read-schema-version.js';
import { CURRENT_SCHEMA_VERSION, SCHEMA_VERSIONS } from '../../migrations/schema-versions.js';
import { SchemaMismatchError } from '../errors/index.js';
import { type SchemaName, schemaName } from '../storage/schema-name.js';

/** A server that takes a connection and then says nothing is given up after so many milliseconds. */
const CONNECT_TIMEOUT_MS = 10_000;

/** Where to migrate: an initialized DataSource, or a connection string for a connection of its own. @publicApi */
export type MigrationTarget = DataSource | { readonly url: string };

/**
 * Brings the schema to the version of this code. Safe to call from any number of processes at once: one migrates, the
 * others wait for it. All pending versions are applied in one transaction.
 *
 * @param target DataSource or connection string of a role that may create the schema.
 * @param options.schema name of the schema, `awa` by default.
 * @returns the versions that this call applied; empty when there was nothing to do.
 * @throws SchemaMismatchError when the schema is newer than this code. Nothing is written then.
 * @example await runMigrations({ url: process.env.DATABASE_URL });
 * @publicApi
 */
export async function runMigrations(
  target: MigrationTarget,
  options: { readonly schema?: string } = {},
): Promise<number[]> {
  const schema = schemaName(options.schema);
  return withDataSource(target, (dataSource) => migrate(dataSource, schema));
}

/**
 * Compares the schema with this code. Writes nothing.
 *
 * @param target DataSource or connection string
 * @param options.schema name of the schema, `awa` by default
 * @throws SchemaMismatchError when the schema is missing, older or newer.
 * @example await checkSchemaVersion(dataSource);
 * @publicApi
 */
export async function checkSchemaVersion(
  target: MigrationTarget,
  options: { readonly schema?: string } = {},
): Promise<void> {
  const schema = schemaName(options.schema);
  return withDataSource(target, async (dataSource) => {
    const found = await readSchemaVersion(dataSource, schema);
    if (found !== CURRENT_SCHEMA_VERSION) throw mismatch(schema, found);
  });
}

/** Gives the work a DataSource: the given one, or one of its own for a connection string. */
export async function withDataSource<Result>(
  target: MigrationTarget,
  work: (dataSource: DataSource) => Promise<Result>,
): Promise<Result> {
  if (target instanceof DataSource) return work(target);
  const dataSource = await new DataSource({
    type: 'postgres',
    url: target.url,
    poolSize: 1,
    connectTimeoutMS: CONNECT_TIMEOUT_MS,
  }).initialize();
  try {
    return await work(dataSource);
  } finally {
    await dataSource.destroy();
  }
}

function mismatch(schema: SchemaName, found: number): SchemaMismatchError {
  return new SchemaMismatchError(schema.name, found === 0 ? undefined : found, CURRENT_SCHEMA_VERSION);
}

async function migrate(dataSource: DataSource, schema: SchemaName): Promise<number[]> {
  const found = await readSchemaVersion(dataSource, schema);
  if (found > CURRENT_SCHEMA_VERSION) throw mismatch(schema, found);
  if (found === CURRENT_SCHEMA_VERSION) return [];
  const runner = dataSource.createQueryRunner();
  try {
    return await applyPending(runner, schema);
  } finally {
    await runner.release();
  }
}

async function applyPending(runner: QueryRunner, schema: SchemaName): Promise<number[]> {
  const applied: number[] = [];
  // What is read under the lock has to be newer than the wait for it, whatever the DataSource's default.
  await runner.startTransaction('READ COMMITTED');
  try {
    for (const version of SCHEMA_VERSIONS) {
      if (await applySchemaVersion(runner, version, schema)) applied.push(version.version);
    }
    // A process of a newer release may have been faster.
    const found = await readSchemaVersion(runner, schema);
    if (found > CURRENT_SCHEMA_VERSION) throw mismatch(schema, found);
    await runner.commitTransaction();
    return applied;
  } catch (error) {
    // When the connection is gone, so is the transaction: the first error is the one to tell.
    await runner.rollbackTransaction().catch(() => undefined);
    throw error;
  }
}
