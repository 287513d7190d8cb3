import type { SchemaName } from '../schema-name.js';
import { type SqlPort, sqlStatement } from '../sql-port.js';

/** The SQLSTATE with which a claim refuses a schema whose transaction ids are ahead of the cluster's. */
export const FOREIGN_CLUSTER = 'AW006';

const statement = sqlStatement('foreign_cluster', (s) => `SELECT ${s}.foreign_cluster() AS reason`, 'reader');

/** @returns why the schema has to be adopted by the cluster it is in; undefined when it is at home. */
export async function foreignCluster(port: SqlPort, schema: SchemaName): Promise<string | undefined> {
  const [row] = await port.query<{ reason: string | null }>(statement(schema), []);
  return row?.reason ?? undefined;
}
