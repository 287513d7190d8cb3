import { explainRefusal } from './explain-refusal.js';
import type { SqlPort, SqlStatement } from '../sql-port.js';

/** What DataSource, EntityManager and QueryRunner have in common. */
interface TypeOrmQueryable {
  query(text: string, parameters?: unknown[]): Promise<unknown>;
}

/**
 * A TypeORM DataSource, EntityManager or QueryRunner as a port. Within a transaction of the manager or runner, the
 * statement is part of it. TypeORM gives plain rows for SELECT only, and all our statements are.
 */
export class TypeOrmAdapter implements SqlPort {
  constructor(private readonly database: TypeOrmQueryable) {}

  async query<Row>(statement: SqlStatement, parameters: readonly unknown[]): Promise<Row[]> {
    try {
      return (await this.database.query(statement.text, [...parameters])) as Row[];
    } catch (error) {
      throw explainRefusal(error, statement);
    }
  }
}
