import { execFile } from 'node:child_process';
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { runMigrations } from '../../lib/migrate/run-migrations.js';
import { administer } from '../support/database-admin.js';

/** The folder of pg_dump and pg_restore of the servers' own version; undefined where there are none. npm's binaries have none. */
export async function dumpTools(): Promise<string | undefined> {
  const folder = process.env['TEST_POSTGRES_BIN'];
  if (folder === undefined || folder === '') return undefined;
  return access(join(folder, 'pg_dump')).then(
    () => folder,
    () => undefined,
  );
}

/** With the schema out of the dump, or only the data, into a schema that the migration has made. */
export async function dumpAndRestore(
  folder: string,
  from: string,
  to: string,
  isDataOnly: boolean,
): Promise<void> {
  const run = promisify(execFile);
  const what = isDataOnly ? ['--data-only', '--exclude-table-data=awa.schema_versions'] : [];
  // The roles of the one cluster are not those of the other.
  const options = ['--schema=awa', '--no-owner', '--no-acl', ...what];
  const { stdout } = await run(join(folder, 'pg_dump'), [...options, from], { maxBuffer: 1e9 });
  if (isDataOnly) await migrateEmpty(to);
  const restored = run(join(folder, 'psql'), ['--quiet', '--set=ON_ERROR_STOP=1', to], { maxBuffer: 1e9 });
  restored.child.stdin?.end(stdout);
  await restored;
}

/** The tables of the schema, but for the one that says which version it is of. */
const TABLES = `SELECT c.oid::regclass::text AS name FROM pg_class c WHERE c.relnamespace = 'awa'::regnamespace
  AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname <> 'schema_versions' ORDER BY 1`;

/** A schema with nothing in it, not even what the migration writes. */
async function migrateEmpty(url: string): Promise<void> {
  await runMigrations({ url });
  await administer(url, async (client) => {
    const { rows } = await client.query<{ name: string }>(TABLES);
    await client.query(`TRUNCATE ${rows.map(({ name }) => name).join(', ')}`);
  });
}

/**
 * The same as a dump of the data, where there is no pg_dump: every row as text, in one snapshot, and the sequences.
 * It replaces what is there in one transaction, so it can be done under a process that works.
 */
export async function copyRows(from: string, to: string): Promise<void> {
  await runMigrations({ url: to });
  await administer(from, (source) =>
    administer(to, async (target) => {
      await source.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
      const { rows: tables } = await source.query<{ name: string }>(TABLES);
      await target.query('SET session_replication_role = replica');
      await target.query('BEGIN');
      await target.query(`TRUNCATE ${tables.map(({ name }) => name).join(', ')}`);
      for (const { name } of tables) {
        const { rows } = await source.query<{ line: string }>(`SELECT t::text AS line FROM ${name} t`);
        await target.query(
          `INSERT INTO ${name} OVERRIDING SYSTEM VALUE SELECT (l::${name}).* FROM unnest($1::text[]) AS l`,
          [rows.map(({ line }) => line)],
        );
      }
      const { rows: sequences } = await source.query<{ name: string; last: string | null }>(
        "SELECT format('%I.%I', schemaname, sequencename) AS name, last_value::text AS last FROM pg_sequences WHERE schemaname = 'awa'",
      );
      for (const { name, last } of sequences) {
        if (last !== null) await target.query('SELECT setval($1::regclass, $2::bigint)', [name, last]);
      }
      await target.query('COMMIT');
    }),
  );
}
