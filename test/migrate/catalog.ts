import type { TestDatabase } from '../support/test-database.js';

/** The version of our schema that this code makes. */
export { CURRENT_SCHEMA_VERSION } from '../../migrations/schema-versions.js';

/**
 * Every schema, relation and function outside of Postgres' own, with the transaction that wrote it last: equal lists mean
 * that nothing was created, changed or dropped in between, not even to the same effect.
 */
export async function catalog(database: TestDatabase): Promise<string[]> {
  const { rows } = await database.query<{ entry: string }>(`
    WITH ours AS (SELECT oid, nspname, xmin FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema$)')
    SELECT format('schema %s %s', nspname, xmin) AS entry FROM ours
    UNION ALL
    SELECT format('relation %s.%s %s %s', n.nspname, c.relname, c.oid, c.xmin) FROM pg_class c JOIN ours n ON n.oid = c.relnamespace
    UNION ALL
    SELECT format('function %s.%s %s %s', n.nspname, p.proname, p.oid, p.xmin) FROM pg_proc p JOIN ours n ON n.oid = p.pronamespace
    ORDER BY 1`);
  return rows.map(({ entry }) => entry);
}

/** The schemas outside of Postgres' own, `public` included. */
export async function schemas(database: TestDatabase): Promise<string[]> {
  const { rows } = await database.query<{ name: string }>(
    "SELECT nspname::text AS name FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema$)' ORDER BY 1",
  );
  return rows.map(({ name }) => name);
}

/** What a schema says about itself, oldest version first; the schema as it is quoted in SQL. */
export async function recordedVersions(
  database: TestDatabase,
  ident = 'awa',
): Promise<{ readonly version: number; readonly name: string }[]> {
  const { rows } = await database.query<{ version: number; name: string }>(
    `SELECT version, name FROM ${ident}.schema_versions ORDER BY version`,
  );
  return rows;
}

/** Whether a session of the database waits for a lock that another one holds. */
export async function waitsForLock(database: TestDatabase): Promise<boolean> {
  const { rows } = await database.query(
    "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
  );
  return rows.length > 0;
}
