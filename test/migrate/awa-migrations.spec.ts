import { DataSource, type MigrationInterface, type QueryRunner } from 'typeorm';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { awaMigrations } from '../../migrations/index.js';
import { checkSchemaVersion, runMigrations } from '../../lib/migrate/run-migrations.js';
import { useTestDatabase } from '../support/test-database.js';
import { catalog, recordedVersions, schemas } from './catalog.js';

const database = useTestDatabase({ migrated: false });

class CreateUsers1700000000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('CREATE TABLE users (id int)');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE users');
  }
}

/** Comes after ours, and shows the time limits under which it runs. */
class CreateOrders1999999999999 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      "CREATE TABLE orders AS SELECT current_setting('lock_timeout') AS l, current_setting('statement_timeout') AS s",
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE orders');
  }
}

const OF_THE_APPLICATION = [CreateUsers1700000000000, CreateOrders1999999999999];

let dataSource: DataSource;

async function open(migrations: (new () => MigrationInterface)[]): Promise<DataSource> {
  const options = '-c lock_timeout=4s -c statement_timeout=5s';
  dataSource = await new DataSource({
    type: 'postgres',
    url: database.url,
    poolSize: 1,
    migrations,
    extra: { options },
  }).initialize();
  return dataSource;
}

async function tables(): Promise<string[]> {
  const { rows } = await database.query<{ name: string }>(
    "SELECT relname::text AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY 1",
  );
  return rows.map(({ name }) => name);
}

beforeEach(async () => {
  await database.query('CREATE SCHEMA IF NOT EXISTS public');
});

afterEach(async () => {
  await dataSource.destroy();
  await database.query(
    'DROP SCHEMA IF EXISTS awa CASCADE; DROP SCHEMA IF EXISTS "Second" CASCADE; DROP SCHEMA public CASCADE',
  );
});

describe.each(['all', 'each', 'none'] as const)('awaMigrations() in transaction mode "%s"', (transaction) => {
  it("runs between the application's own by time, and is undone", async () => {
    await open([...awaMigrations(), ...OF_THE_APPLICATION]);

    const run = await dataSource.runMigrations({ transaction });

    expect(run.map(({ name }) => name)).toEqual([
      'CreateUsers1700000000000',
      'CreateAwa1764000000001',
      'CreateOrders1999999999999',
    ]);
    expect(await recordedVersions(database)).toEqual([{ version: 1, name: 'CreateAwa' }]);
    await expect(checkSchemaVersion(dataSource)).resolves.toBeUndefined();
    expect(await tables()).toEqual(['migrations', 'orders', 'users']);
    expect(await dataSource.runMigrations({ transaction })).toEqual([]);

    await dataSource.undoLastMigration({ transaction });
    expect(await tables()).toEqual(['migrations', 'users']);
    await dataSource.undoLastMigration({ transaction });
    expect(await schemas(database)).toEqual(['public']);
    expect(await tables()).toEqual(['migrations', 'users']);

    await dataSource.runMigrations({ transaction });
    await expect(checkSchemaVersion(dataSource)).resolves.toBeUndefined();
  });

  it("leaves the time limits of the application's migrations alone", async () => {
    await open([...awaMigrations(), ...OF_THE_APPLICATION]);
    await dataSource.runMigrations({ transaction });
    const { rows } = await database.query('SELECT l, s FROM orders');
    expect(rows).toEqual([{ l: '4s', s: '5s' }]);
  });

  it('is undone around what somebody else keeps in the schema', async () => {
    await open(awaMigrations());
    await dataSource.runMigrations({ transaction });
    await database.query('CREATE TABLE awa.notes AS SELECT 1 AS note');

    await dataSource.undoLastMigration({ transaction });

    expect((await catalog(database)).filter((entry) => / awa[. ]/.test(entry))).toEqual([
      expect.stringMatching(/^relation awa\.notes /),
      expect.stringMatching(/^schema awa /),
    ]);
    expect((await database.query('SELECT note FROM awa.notes')).rows).toEqual([{ note: 1 }]);
  });

  it('is not applied again where runMigrations() was first, nor the other way round', async () => {
    await open([...awaMigrations(), ...awaMigrations('Second')]);
    expect(await runMigrations(dataSource)).toEqual([1]);
    const before = (await catalog(database)).filter((entry) => / awa[. ]/.test(entry));

    const run = await dataSource.runMigrations({ transaction });

    expect(run.map(({ name }) => name)).toEqual(['CreateAwa1764000000001', 'CreateAwa_Second_1764000000001']);
    expect((await catalog(database)).filter((entry) => / awa[. ]/.test(entry))).toEqual(before);
    expect(await runMigrations(dataSource, { schema: 'Second' })).toEqual([]);
    expect(await recordedVersions(database, '"Second"')).toHaveLength(1);
  });
});

it('of two instances in one database are undone one by one', async () => {
  await open([...awaMigrations(), ...awaMigrations('Second')]);
  await dataSource.runMigrations();
  await dataSource.undoLastMigration();
  expect(await schemas(database)).toEqual(['awa', 'public']);
  await expect(checkSchemaVersion(dataSource)).resolves.toBeUndefined();
});

it('a failing migration of the application takes ours back with it in transaction mode "all"', async () => {
  class Fails1999999999999 implements MigrationInterface {
    up(): Promise<void> {
      return Promise.reject(new Error('no'));
    }

    down(): Promise<void> {
      return Promise.resolve();
    }
  }
  await open([...awaMigrations(), Fails1999999999999]);
  await expect(dataSource.runMigrations({ transaction: 'all' })).rejects.toThrow('no');
  expect(await schemas(database)).toEqual(['public']);
});
