import { setTimeout as delay } from 'node:timers/promises';

import { Client, DatabaseError, escapeIdentifier } from 'pg';

/** object_in_use: "source database is being accessed by other users". */
const OBJECT_IN_USE = '55006';
const PATIENCE_MS = 30_000;

/** The same server, another database. */
export function withDatabase(url: string, database: string): string {
  const changed = new URL(url);
  changed.pathname = `/${database}`;
  return changed.toString();
}

/** A role that can log in, and its password. */
export interface LoginRole {
  readonly name: string;
  readonly password: string;
}

/** The same database, another role. */
export function withRole(url: string, { name, password }: LoginRole): string {
  const changed = new URL(url);
  changed.username = name;
  changed.password = password;
  return changed.toString();
}

/** Runs statements that concern whole databases, on a connection of their own. */
export async function administer<T>(url: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/**
 * `CREATE DATABASE name TEMPLATE template`.
 *
 * Several may copy one template at a time, but not while a session is connected to it. A session that has
 * just been closed counts until its backend process has ended. Postgres waits five seconds for that, which on
 * a loaded machine is not always enough; hence the retry.
 */
export async function createDatabase(client: Client, name: string, template: string): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    try {
      await client.query(`CREATE DATABASE ${escapeIdentifier(name)} TEMPLATE ${escapeIdentifier(template)}`);
      return;
    } catch (error) {
      const isBusy = error instanceof DatabaseError && error.code === OBJECT_IN_USE;
      if (!isBusy || performance.now() > deadline) throw error;
    }
    await delay(50);
  }
}

/** Drops a database together with the sessions a failed test may have left in it. */
export async function dropDatabase(client: Client, name: string): Promise<void> {
  await client.query(`DROP DATABASE IF EXISTS ${escapeIdentifier(name)} WITH (FORCE)`);
}
