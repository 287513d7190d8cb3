import type { ClientBase, Pool } from 'pg';
import { explainRefusal } from '../adapters/explain-refusal.js';
import type { SqlPort, SqlStatement } from '../sql-port.js';
import { isLostStatement } from '../sql-state.js';

/**
 * Our own pool as a port: on a connection that has a session of its own each statement is prepared once, so that the server need not
 * parse and plan it for each call. Behind a pooler nothing is named.
 *
 * A connection whose statement failed is dropped, as `pool.query` does.
 */
export class PoolPort implements SqlPort {
  constructor(
    private readonly pool: Pool,
    private readonly sessionOwners: WeakSet<ClientBase>,
  ) {
    // The pool does not listen to a connection in use. Its query, or the next one, is rejected; unheard, the event would end the process.
    pool.on('connect', (client) => client.on('error', () => undefined));
  }

  async query<Row>(statement: SqlStatement, parameters: readonly unknown[]): Promise<Row[]> {
    try {
      return await this.send<Row>(statement, [...parameters], true);
    } catch (error) {
      throw explainRefusal(error, statement);
    }
  }

  /**
   * What fails for its name was not done, and is done once more without it: the pool's other connections may have lost their
   * statements as well.
   */
  private async send<Row>(statement: SqlStatement, values: unknown[], mayName: boolean): Promise<Row[]> {
    const client = await this.pool.connect();
    const isNamed = mayName && this.sessionOwners.has(client);
    try {
      const { name, text } = statement;
      const { rows } = await client.query({ name: isNamed ? name : undefined, text, values });
      client.release();
      return rows as Row[];
    } catch (error) {
      client.release(error as Error);
      if (isNamed && isLostStatement(error)) return this.send(statement, values, false);
      throw error;
    }
  }
}
