import type { SchemaName } from '../lib/storage/schema-name.js';

/** What is needed of a TypeORM QueryRunner, DataSource or EntityManager to read. */
export interface Queryable {
  query(sql: string, parameters?: unknown[]): Promise<unknown>;
}

/**
 * The newest version that was applied to the schema, 0 when there is none.
 *
 * Looks the table up in the catalogue by name first: a role without rights on the schema gets an answer, not an error.
 */
export async function readSchemaVersion(database: Queryable, schema: SchemaName): Promise<number> {
  const found = (await database.query(
    `SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = $1 AND c.relname = 'schema_versions'`,
    [schema.name],
  )) as unknown[];
  if (found.length === 0) return 0;
  const rows = (await database.query(
    `SELECT coalesce(max(version), 0)::int AS version FROM ${schema.ident}.schema_versions`,
  )) as { version: number }[];
  return rows[0]?.version ?? 0;
}
