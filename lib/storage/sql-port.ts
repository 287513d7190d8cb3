import type { Access } from './access.js';
import type { SchemaName } from './schema-name.js';

/** One SQL statement, for one schema. */
export interface SqlStatement {
  /** Unique in a process: it names the prepared statement where the connection keeps one. */
  readonly name: string;
  readonly text: string;
  /** What a role has to be granted, on which quoted schema, to run it. */
  readonly needs?: { readonly schema: string; readonly access: Access };
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
 * @param access the least that a role needs to run it
 */
export function sqlStatement(
  operation: string,
  text: (s: string) => string,
  access: Access = 'runtime',
): (schema: SchemaName) => SqlStatement {
  const built = new Map<string, SqlStatement>();
  return (schema) => {
    let statement = built.get(schema.name);
    if (statement === undefined) {
      statement = Object.freeze({
        name: `${schema.channel}_${operation}`,
        text: text(schema.ident),
        needs: { schema: schema.ident, access },
      });
      built.set(schema.name, statement);
    }
    return statement;
  };
}
