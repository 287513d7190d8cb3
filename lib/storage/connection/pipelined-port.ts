import type { Client, QueryResult } from 'pg';
import { DatabaseUnavailableError } from '../../errors/index.js';
import { explainRefusal } from '../adapters/explain-refusal.js';
import type { SqlPort, SqlStatement } from '../sql-port.js';
import { isLostStatement, isOutage, sqlState } from '../sql-state.js';
import type { ManagedClient } from './managed-client.js';
import { pooledQuery } from './pooled-query.js';

/**
 * The worker's own connection as a port: statements are prepared once and pipelined, so that claims, completions and
 * heartbeats share it without waiting for each other's round trips. Behind a transaction pooler each goes in a transaction of its own,
 * unprepared.
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
    let isAnswered = false;
    const watchdog = setTimeout(() => {
      // After a blocked event loop timers come before input: the answer may be here already, to be read in this very turn.
      setImmediate(() => setImmediate(() => isAnswered || this.client.discard(client)));
    }, this.answerTimeoutMs);
    try {
      const { name, text } = statement;
      if (this.client.isPooled) return await pooledQuery(client, text, parameters);
      return await client.query({ name, text, values: [...parameters] });
    } catch (error) {
      const state = sqlState(error);
      const isLost = isLostStatement(error);
      if (isLost) this.client.discard(client);
      // The server answered, with an error; anything else is the connection's end.
      if (state !== undefined && !isLost && !isOutage(state)) throw explainRefusal(error, statement);
      throw new DatabaseUnavailableError(statement.name, { cause: error });
    } finally {
      isAnswered = true;
      clearTimeout(watchdog);
    }
  }
}
