import { explainRefusal } from './explain-refusal.js';
import type { SqlPort, SqlStatement } from '../sql-port.js';

/** What pg's Client, PoolClient and Pool have in common. */
interface PgQueryable {
  query(text: string, values?: unknown[]): Promise<{ rows: unknown[] }>;
}

/** A `pg` Client, PoolClient or Pool as a port. No statement is named: the connection may sit behind a pooler. */
export class PgAdapter implements SqlPort {
  constructor(private readonly database: PgQueryable) {}

  async query<Row>(statement: SqlStatement, parameters: readonly unknown[]): Promise<Row[]> {
    try {
      const { rows } = await this.database.query(statement.text, [...parameters]);
      return rows as Row[];
    } catch (error) {
      throw explainRefusal(error, statement);
    }
  }
}
