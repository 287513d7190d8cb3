import { randomBytes } from 'node:crypto';
import { DataSource } from 'typeorm';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { awaMigrations } from '../../migrations/index.js';
import { checkSchemaVersion, runMigrations } from '../../lib/migrate/run-migrations.js';
import { schemaName } from '../../lib/storage/schema-name.js';
import { until } from '../support/signals.js';
import { useTestDatabase } from '../support/test-database.js';
import { recordedVersions, schemas } from './catalog.js';

const database = useTestDatabase({ migrated: false });
const role = `awa_test_role_${randomBytes(4).toString('hex')}`;

/** The database as the role sees it. */
function url(): string {
  const { host, pathname } = new URL(database.url);
  return `postgres://${role}@${host}${pathname}`;
}

beforeAll(async () => {
  await database.query(`CREATE ROLE ${role} LOGIN`);
});

afterEach(async () => {
  await database.query('DROP SCHEMA IF EXISTS awa CASCADE');
});

afterAll(async () => {
  await database.query(`DROP OWNED BY ${role}`);
  await database.query(`DROP ROLE ${role}`);
});

describe('a role that must not create schemas', () => {
  it('migrates into a schema that was made for it', async () => {
    await database.query(`CREATE SCHEMA awa AUTHORIZATION ${role}`);
    expect(await runMigrations({ url: url() })).toEqual([1]);
    await expect(checkSchemaVersion({ url: url() })).resolves.toBeUndefined();
  });

  it('is refused otherwise, and leaves nothing', async () => {
    await expect(runMigrations({ url: url() })).rejects.toMatchObject({ code: '42501' });
    expect(await schemas(database)).toEqual(['public']);
  });

  it('undoes its migration in a schema that belongs to another role, and leaves that', async () => {
    await database.query('CREATE SCHEMA awa');
    await database.query(`GRANT USAGE, CREATE ON SCHEMA awa, public TO ${role}`);
    const dataSource = new DataSource({
      type: 'postgres',
      url: url(),
      poolSize: 1,
      migrations: awaMigrations(),
    });
    await dataSource.initialize();
    await dataSource.runMigrations();
    await expect(checkSchemaVersion(dataSource)).resolves.toBeUndefined();

    await dataSource.undoLastMigration();
    await dataSource.destroy();

    expect(await schemas(database)).toEqual(['awa', 'public']);
    await expect(checkSchemaVersion(database)).rejects.toMatchObject({ database: 'missing' });
  });

  it('may check without any right on the schema where there is none of ours', async () => {
    await database.query('CREATE SCHEMA awa');
    await expect(checkSchemaVersion({ url: url() })).rejects.toMatchObject({ database: 'missing' });
  });
});

describe('a role with low time limits', () => {
  const LIMIT_MS = 300;

  it('waits for the migration of another process for longer than they allow', async () => {
    await database.query(`CREATE SCHEMA awa AUTHORIZATION ${role}`);
    const version = await database.query<{ number: number }>(
      "SELECT current_setting('server_version_num')::int AS number",
    );
    const limits = ['statement_timeout', 'lock_timeout'];
    if ((version.rows[0]?.number ?? 0) >= 170_000) limits.push('transaction_timeout');
    for (const limit of limits) await database.query(`ALTER ROLE ${role} SET ${limit} = ${LIMIT_MS}`);
    const other = await database.client();
    await other.query('SELECT pg_advisory_lock($1)', [schemaName().lockKey]);

    const migration = runMigrations({ url: url() });
    await until(
      async () => {
        const { rows } = await database.query<{ long: boolean }>(
          `SELECT clock_timestamp() - query_start > $2 * interval '1 millisecond' AS long FROM pg_stat_activity
           WHERE usename = $1 AND wait_event = 'advisory'`,
          [role, 2 * LIMIT_MS],
        );
        return rows[0]?.long;
      },
      { what: 'a wait longer than the limits' },
    );
    await other.query('SELECT pg_advisory_unlock($1)', [schemaName().lockKey]);

    expect(await migration).toEqual([1]);
    expect(await recordedVersions(database)).toHaveLength(1);
  });
});
