import type { Client, ClientBase } from 'pg';

/**
 * What a role or database may have set for requests of its application must not reach work that has its own limits: a
 * time-out would cut off a rescue each time, and under another isolation level nothing could be claimed.
 */
const OWN_SETTINGS = {
  default_transaction_isolation: 'read committed',
  default_transaction_read_only: 'off',
  statement_timeout: '0',
  lock_timeout: '0',
  idle_in_transaction_session_timeout: '0',
  idle_session_timeout: '0',
  // Came with Postgres 17.
  transaction_timeout: '0',
};

/** The same for connections that serve the application's calls: how long those may take is for the role to say. */
const SHARED_SETTINGS = {
  default_transaction_isolation: 'read committed',
  default_transaction_read_only: 'off',
  idle_session_timeout: '0',
};

/** Of one transaction, where there is no session to set anything for. */
export const BEGIN_WITH_OWN_SETTINGS =
  'BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0';

/**
 * The server gives up on a peer that does not read, which may hold a lock, after 10 s, and on one that is gone without a word after
 * 25 s (by itself it would take two hours).
 */
const SERVER_PATIENCE = `SELECT pg_catalog.set_config('tcp_user_timeout', '10000', false),
  pg_catalog.set_config('tcp_keepalives_idle', '10', false), pg_catalog.set_config('tcp_keepalives_interval', '5', false),
  pg_catalog.set_config('tcp_keepalives_count', '3', false)`;

/**
 * Prepares a session that only our own work uses, if this connection has one: behind a pooler the settings would be somebody else's next.
 *
 * @returns whether it has
 */
export async function prepareOwnSession(client: Client): Promise<boolean> {
  const ownsSession = await apply(client, OWN_SETTINGS);
  // Not every platform has them.
  if (ownsSession) await client.query(SERVER_PATIENCE).catch(() => undefined);
  return ownsSession;
}

/**
 * Settings for a session of our pool, unless there is a pooler.
 *
 * @returns whether the session is the connection's own
 */
export function preparePoolSession(client: ClientBase): Promise<boolean> {
  return apply(client, SHARED_SETTINGS);
}

/**
 * Sets what this server knows of it, unless the session is not the connection's own. A pooler invents the process id that it sends in its handshake, since the
 * connection has no server process yet; a server, or a proxy that passes everything on, sends the true one.
 *
 * A pooler in session mode fails this too: then we use less than we could, which always works.
 */
async function apply(client: ClientBase, settings: Readonly<Record<string, string>>): Promise<boolean> {
  const { processID } = client as unknown as { processID: number | null };
  const { rowCount } = await client.query(
    `SELECT pg_catalog.set_config(s.name, g.value, false) FROM unnest($1::text[], $2::text[]) AS g(name, value)
     JOIN pg_catalog.pg_settings s ON s.name = g.name WHERE pg_catalog.pg_backend_pid() = $3::int`,
    [Object.keys(settings), Object.values(settings), processID],
  );
  return rowCount !== null && rowCount > 0;
}
