import type { Client, QueryResult } from 'pg';
import { DatabaseUnavailableError } from '../../errors/index.js';
import type { SqlPort, SqlStatement } from '../sql-port.js';
import { isOutage, sqlState } from '../sql-state.js';
import type { ManagedClient } from './managed-client.js';

/**
 * The worker's own connection as a port: statements are prepared once and pipelined, so that claims, completions and
 * heartbeats share it without waiting for each other's round trips.
 *
 * A connection that does not answer within the limit is dropped: the other end of a half-open socket never will.
 */
export class PipelinedPort implements SqlPort {
  constructor(
    private readonly client: ManagedClient,
    /** Milliseconds. */
    private readonly answerTimeoutMs: number,
  ) {}

  async query<Row>(statement: SqlStatement, parameters: readonly unknown[]): Promise<Row[]> {
    const client = await this.client.connect();
    const { rows } = await this.answered(client, statement, parameters);
    return rows as Row[];
  }

  private async answered(
    client: Client,
    statement: SqlStatement,
    parameters: readonly unknown[],
  ): Promise<QueryResult> {
    const watchdog = setTimeout(() => this.client.discard(client), this.answerTimeoutMs);
    try {
      return await client.query({ name: statement.name, text: statement.text, values: [...parameters] });
    } catch (error) {
      const state = sqlState(error);
      // The server answered, with an error; anything else is the connection's end.
      if (state !== undefined && !isOutage(state)) throw error;
      throw new DatabaseUnavailableError(statement.name, { cause: error });
    } finally {
      clearTimeout(watchdog);
    }
  }
}
