import { type ClientBase, type ClientConfig, Pool } from 'pg';
import type { SchemaName } from '../schema-name.js';
import type { SqlPort } from '../sql-port.js';
import type { Database } from './database.js';
import { KEEP_ALIVE_DELAY_MS } from './own-client.js';
import { PoolPort } from './pool-port.js';
import { preparePoolSession } from './session.js';

/** Enough for enqueues outside of transactions and for reading; the worker has connections of its own. */
const POOL_SIZE = 2;

/** Lives in the database a connection string names, with a small pool of its own. */
export class UrlDatabase implements Database {
  readonly target: { readonly url: string };
  readonly pool: SqlPort;
  readonly clientConfig: ClientConfig;
  private readonly pgPool: Pool;
  private closing: Promise<void> | undefined;

  constructor(
    url: string,
    readonly schema: SchemaName,
    onError: (error: Error) => void,
    directUrl = url,
  ) {
    this.target = { url };
    this.clientConfig = { connectionString: directUrl };
    const sessionOwners = new WeakSet<ClientBase>();
    this.pgPool = new Pool({
      connectionString: url,
      max: POOL_SIZE,
      application_name: 'awa',
      connectionTimeoutMillis: 10_000,
      keepAlive: true,
      keepAliveInitialDelayMillis: KEEP_ALIVE_DELAY_MS,
      // The pool waits for it, though its types do not say so.
      // oxlint-disable-next-line typescript/no-misused-promises
      onConnect: async (client) => {
        if (await preparePoolSession(client)) sessionOwners.add(client);
      },
      // A process that could not start, and so never closes this, can end.
      allowExitOnIdle: true,
    });
    // An idle connection that breaks is replaced at the next use; unheard, the event would end the process.
    this.pgPool.on('error', onError);
    this.pool = new PoolPort(this.pgPool, sessionOwners);
  }

  isPoolBound(): boolean {
    return false;
  }

  close(): Promise<void> {
    this.closing ??= this.pgPool.end();
    return this.closing;
  }
}
