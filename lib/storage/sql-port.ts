import type { SchemaName } from './schema-name.js';

/** One SQL statement, for one schema. */
export interface SqlStatement {
  /** Unique in a process: it names the prepared statement where the connection keeps one. */
  readonly name: string;
  readonly text: string;
}

/** All that the storage operations need of a connection. Every adapter answers with plain rows. */
export interface SqlPort {
  query<Row>(statement: SqlStatement, parameters: readonly unknown[]): Promise<Row[]>;
}

/**
 * Declares a statement whose text depends on the schema; the result gives it for one schema, built once.
 *
 * @param operation snake case, as the SQL function is called
 * @param text builds the text from the quoted schema
 */
export function sqlStatement(
  operation: string,
  text: (s: string) => string,
): (schema: SchemaName) => SqlStatement {
  const built = new Map<string, SqlStatement>();
  return (schema) => {
    let statement = built.get(schema.name);
    if (statement === undefined) {
      statement = Object.freeze({ name: `${schema.channel}_${operation}`, text: text(schema.ident) });
      built.set(schema.name, statement);
    }
    return statement;
  };
}
