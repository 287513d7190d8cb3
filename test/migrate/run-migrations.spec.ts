import { DataSource } from 'typeorm';
import { afterEach, describe, expect, it } from 'vitest';
import { SchemaMismatchError } from '../../lib/errors/index.js';
import { checkSchemaVersion, runMigrations } from '../../lib/migrate/run-migrations.js';
import { schemaName } from '../../lib/storage/schema-name.js';
import { until } from '../support/signals.js';
import { useTestDatabase } from '../support/test-database.js';
import { catalog, CURRENT_SCHEMA_VERSION, recordedVersions, schemas, waitsForLock } from './catalog.js';

const database = useTestDatabase({ migrated: false });

afterEach(async () => {
  await database.query('DROP SCHEMA IF EXISTS awa CASCADE');
});

describe('runMigrations', () => {
  it('creates the schema and records its version', async () => {
    expect(await runMigrations(database)).toEqual([1]);
    expect(await recordedVersions(database)).toEqual([{ version: 1, name: 'CreateAwa' }]);
    expect(await catalog(database)).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^relation awa\.ready_entries /),
        expect.stringMatching(/^function awa\.claim_jobs /),
      ]),
    );
    await expect(checkSchemaVersion(database)).resolves.toBeUndefined();
  });

  it('touches nothing when all is there', async () => {
    await runMigrations(database);
    const before = await catalog(database);
    expect(await runMigrations(database)).toEqual([]);
    expect(await catalog(database)).toEqual(before);
  });

  it("works on the application's DataSource, and leaves it open", async () => {
    const dataSource = await new DataSource({
      type: 'postgres',
      url: database.url,
      poolSize: 1,
    }).initialize();
    expect(await runMigrations(dataSource)).toEqual([1]);
    expect(await runMigrations(dataSource)).toEqual([]);
    await checkSchemaVersion(dataSource);
    expect(await dataSource.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
    await dataSource.destroy();
  });

  it('lets one of ten connections do it, and the others find it done', async () => {
    const applied = await Promise.all(Array.from({ length: 10 }, () => runMigrations(database)));
    expect(applied.flat()).toEqual([1]);
    expect(await recordedVersions(database)).toHaveLength(1);
  });

  it('does so as well where transactions are repeatable reads unless they say otherwise', async () => {
    const dataSource = new DataSource({
      type: 'postgres',
      url: database.url,
      poolSize: 10,
      isolationLevel: 'REPEATABLE READ',
    });
    await dataSource.initialize();
    const applied = await Promise.all(Array.from({ length: 10 }, () => runMigrations(dataSource)));
    await dataSource.destroy();
    expect(applied.flat()).toEqual([1]);
  });
});

describe('a schema of a newer release', () => {
  const newer = { found: CURRENT_SCHEMA_VERSION + 1, expected: CURRENT_SCHEMA_VERSION, database: 'newer' };

  it.each([
    ['runMigrations', () => runMigrations(database)],
    ['checkSchemaVersion', () => checkSchemaVersion(database)],
  ])('is refused by %s, which writes nothing', async (_name, call) => {
    await runMigrations(database);
    await database.query("INSERT INTO awa.schema_versions (version, name) VALUES ($1, 'FromTheFuture')", [
      newer.found,
    ]);
    const before = await catalog(database);

    const refusal: unknown = await call().catch((error: unknown) => error);

    expect(refusal).toBeInstanceOf(SchemaMismatchError);
    expect(refusal).toMatchObject({ schema: 'awa', ...newer });
    expect(await catalog(database)).toEqual(before);
    expect(await recordedVersions(database)).toHaveLength(2);
  });

  it('is refused as well when it is made while a process waits for its turn', async () => {
    const future = await database.client();
    await future.query('BEGIN');
    await future.query('SELECT pg_advisory_xact_lock($1)', [schemaName().lockKey]);
    await future.query('CREATE SCHEMA awa');
    await future.query(`CREATE TABLE awa.schema_versions AS SELECT $1::int AS version`, [newer.found]);

    const refusal = runMigrations(database).catch((error: unknown) => error);
    await until(() => waitsForLock(database), { what: 'a process waiting for its turn' });
    await future.query('COMMIT');

    expect(await refusal).toBeInstanceOf(SchemaMismatchError);
    expect(await refusal).toMatchObject(newer);
  });
});

describe('checkSchemaVersion', () => {
  it('refuses a database without our schema, and writes nothing', async () => {
    const refusal: unknown = await checkSchemaVersion(database).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(SchemaMismatchError);
    expect(refusal).toMatchObject({ found: undefined, database: 'missing' });
    expect(await schemas(database)).toEqual(['public']);
  });

  it('refuses a schema of that name which is not ours, or from before its first version was complete', async () => {
    await database.query('CREATE SCHEMA awa');
    await expect(checkSchemaVersion(database)).rejects.toMatchObject({ database: 'missing' });
    await database.query('CREATE TABLE awa.schema_versions (version int PRIMARY KEY, name text)');
    await expect(checkSchemaVersion(database)).rejects.toBeInstanceOf(SchemaMismatchError);
  });

  it('looks at the schema it is asked about', async () => {
    await runMigrations(database);
    await expect(checkSchemaVersion(database, { schema: 'other' })).rejects.toMatchObject({
      schema: 'other',
      database: 'missing',
    });
  });
});
