import { Logger } from '@nestjs/common';
import { alone } from '../../migrations/apply-schema-version.js';
import type { Database } from '../storage/connection/database.js';
import { foreignCluster } from '../storage/operations/foreign-cluster.js';
import type { SqlPort } from '../storage/sql-port.js';
import { withDataSource } from './run-migrations.js';

/**
 * Makes a schema that was restored from another cluster this cluster's own, before it is used: waiting jobs are stamped anew, and
 * the attempts that ran when it was dumped end as those of dead workers do. Does nothing, at the cost of one short query, to a
 * schema that is at home. Of processes that find it foreign at the same time one adopts it, the others wait for that.
 *
 * @param port for the look: a worker's own connection never waits for a pool that the application has used up
 */
export async function adoptForeignCluster(
  { pool, schema, target }: Database,
  port: SqlPort = pool,
): Promise<void> {
  const reason = await foreignCluster(port, schema);
  if (reason === undefined) return;
  const logger = new Logger('Awa');
  logger.warn(`schema "${schema.name}" was restored (${reason}): adopting it`);
  await withDataSource(target, async (dataSource) => {
    const runner = dataSource.createQueryRunner();
    try {
      const [adopted]: { waiting: string; attempts: number }[] = await alone(runner, schema, () =>
        runner.query(`SELECT a.waiting::text AS waiting, a.attempts FROM ${schema.ident}.adopt_cluster() a`),
      );
      if (adopted === undefined) return;
      const { waiting, attempts } = adopted;
      logger.warn(
        `schema "${schema.name}" adopted: ${waiting} job(s) wait, ${attempts} attempt(s) taken over`,
      );
    } finally {
      await runner.release();
    }
  });
}
