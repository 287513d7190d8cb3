import { randomBytes } from 'node:crypto';

import type { TestProject } from 'vitest/node';

import { runMigrations } from '../../lib/migrate/run-migrations.js';
import { startPostgres } from '../postgres/server.js';
import { administer, createDatabase, dropDatabase, type LoginRole, withDatabase } from './database-admin.js';

declare module 'vitest' {
  interface ProvidedContext {
    /** A superuser's connection to the server of this run, database `postgres`. */
    readonly pgUrl: string;
    /** The migrated database that test files copy. Also the prefix of theirs. */
    readonly pgTemplate: string;
    /** The role of the applications of tests: it owns nothing, and was granted `runtime` in the template. */
    readonly pgRuntimeRole: LoginRole;
  }
}

/**
 * Losing data in a power cut does not matter here, and not syncing makes tests several times faster. What a
 * commit means to the other sessions stays as in production.
 */
const SETTINGS = { fsync: 'off', max_connections: '200', shared_buffers: '128MB' };

/**
 * One server for the whole run, with a migrated database to copy. `TEST_DATABASE_URL` uses a server that
 * runs already (a superuser's connection), `TEST_POSTGRES_BIN` starts an installed one, such as
 * /usr/lib/postgresql/15/bin.
 *
 * Vitest calls the returned function also when tests failed. When it is itself interrupted, the server goes
 * with it, because it is a temporary one.
 */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const server = await openServer();
  const template = `awa_test_${randomBytes(4).toString('hex')}`;
  const role: LoginRole = { name: `${template}_runtime`, password: randomBytes(12).toString('hex') };
  const teardown = async () => {
    try {
      if (server.isShared) {
        await dropDatabasesOf(server.url, template);
        await administer(server.url, (client) => client.query(`DROP ROLE IF EXISTS ${role.name}`));
      }
    } finally {
      await server.stop();
    }
  };
  try {
    await administer(server.url, (client) => createDatabase(client, template, 'template0'));
    const url = withDatabase(server.url, template);
    await runMigrations({ url });
    await administer(url, (client) => client.query(runtimeRole(role)));
    await announce(server.url);
  } catch (error) {
    await teardown();
    throw error;
  }
  project.provide('pgUrl', server.url);
  project.provide('pgTemplate', template);
  project.provide('pgRuntimeRole', role);
  return teardown;
}

/** Tables that a test makes as the application's own are open to it. */
const runtimeRole = ({ name, password }: LoginRole) => `
  CREATE ROLE ${name} LOGIN PASSWORD '${password}';
  SELECT awa.grant_role('${name}', 'runtime');
  ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO ${name}`;

interface Server {
  readonly url: string;
  /** Somebody else's, to be left as it was found. */
  readonly isShared: boolean;
  stop(): Promise<void>;
}

async function openServer(): Promise<Server> {
  const url = process.env['TEST_DATABASE_URL'];
  if (url !== undefined && url !== '') return { url, isShared: true, stop: async () => undefined };

  const binDir = process.env['TEST_POSTGRES_BIN'];
  const server = await startPostgres({ temporary: true, settings: SETTINGS, binDir });
  return { url: server.url, isShared: false, stop: async () => server.stop('immediate') };
}

/** A run says what it ran on: "all passed" on the wrong version proves nothing. */
async function announce(url: string): Promise<void> {
  const { rows } = await administer(url, (client) =>
    client.query<{ version: string }>("SELECT current_setting('server_version') AS version"),
  );
  process.stdout.write(`Server of this run: PostgreSQL ${rows[0]?.version}\n`);
}

/** The template and the databases of test files that were interrupted. */
async function dropDatabasesOf(url: string, template: string): Promise<void> {
  await administer(url, async (client) => {
    const { rows } = await client.query<{ datname: string }>(
      'SELECT datname::text FROM pg_catalog.pg_database WHERE starts_with(datname::text, $1)',
      [template],
    );
    for (const { datname } of rows) await dropDatabase(client, datname);
  });
}
