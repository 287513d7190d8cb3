import { randomBytes } from 'node:crypto';

import { Client, Pool, type QueryResult, type QueryResultRow } from 'pg';
import { afterAll, beforeAll, inject } from 'vitest';

import { administer, createDatabase, dropDatabase, withDatabase, withRole } from './database-admin.js';

export interface TestDatabase {
  /**
   * For applications and code of ours that opens its own connections: that of a role that owns nothing and was granted `runtime`.
   * Of a database without our schema, the superuser's.
   */
  readonly url: string;
  /** Connection string of the superuser that owns everything. */
  readonly ownerUrl: string;
  /** One statement of the owner's, on a small pool that is closed at the end of the file: looks at tables and prepares them. */
  query<Row extends QueryResultRow = QueryResultRow>(
    sql: string,
    params?: readonly unknown[],
  ): Promise<QueryResult<Row>>;
  /** A connected session of the application's role, for operations, transactions, locks and LISTEN; closed at the end of the file. */
  client(): Promise<Client>;
  /** The same of the owner's. */
  ownerClient(): Promise<Client>;
}

/**
 * Gives a spec file a database of its own, from before its first test until after its last one.
 *
 * Tests of one file share it: use queue names of your own, or truncate between tests.
 *
 * @param options migrated: false gives an empty database instead of one with our schema.
 * @example
 * const database = useTestDatabase();
 * it('answers', async () => {
 *   const { rows } = await database.query('SELECT 1 AS one');
 *   expect(rows).toEqual([{ one: 1 }]);
 * });
 */
export function useTestDatabase({ migrated = true }: { readonly migrated?: boolean } = {}): TestDatabase {
  const server = inject('pgUrl');
  const template = inject('pgTemplate');
  const name = `${template}_${randomBytes(6).toString('hex')}`;
  const ownerUrl = withDatabase(server, name);
  const url = migrated ? withRole(ownerUrl, inject('pgRuntimeRole')) : ownerUrl;
  const clients: Client[] = [];
  const pool = new Pool({ connectionString: ownerUrl, max: 4 });
  pool.on('error', ignoreBrokenConnection);

  beforeAll(async () => {
    await administer(server, (admin) => createDatabase(admin, name, migrated ? template : 'template0'));
  });

  afterAll(async () => {
    // Ours first: a session that DROP DATABASE has to cut off reports an error to whoever listens.
    await Promise.all(clients.map(async (client) => client.end().catch(ignoreBrokenConnection)));
    await pool.end();
    await administer(server, (admin) => dropDatabase(admin, name));
  });

  const connect = async (connectionString: string) => {
    const client = new Client({ connectionString });
    client.on('error', ignoreBrokenConnection);
    await client.connect();
    clients.push(client);
    return client;
  };

  return {
    url,
    ownerUrl,
    query: async (sql, params) => pool.query(sql, params === undefined ? undefined : [...params]),
    client: () => connect(url),
    ownerClient: () => connect(ownerUrl),
  };
}

/** Tests cut connections on purpose. The next query reports it; unheard, it would end the process. */
function ignoreBrokenConnection(): void {}
