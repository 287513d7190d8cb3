import type { ClientConfig } from 'pg';
import type { DataSource } from 'typeorm';
import { BootError } from '../../errors/index.js';
import { TypeOrmAdapter } from '../adapters/typeorm.adapter.js';
import type { SchemaName } from '../schema-name.js';
import type { SqlPort } from '../sql-port.js';
import type { Database } from './database.js';

/** Lives in the database of the application's TypeORM DataSource and uses its pool. */
export class DataSourceDatabase implements Database {
  readonly pool: SqlPort;
  readonly clientConfig: ClientConfig;

  constructor(
    readonly target: DataSource,
    readonly schema: SchemaName,
    directUrl?: string,
  ) {
    if (target.options.type !== 'postgres') {
      throw new BootError([`the DataSource must be of type "postgres", not "${target.options.type}"`]);
    }
    this.pool = new TypeOrmAdapter(target);
    this.clientConfig = directUrl === undefined ? clientConfigOf(target) : { connectionString: directUrl };
  }

  /** The manager of a DataSource has no connection of its own, unless somebody has put that of a transaction in its place. */
  isPoolBound(): boolean {
    return this.target.manager.queryRunner !== undefined;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** The driver has already made pg options out of the DataSource's; they hold the password where spread cannot see it. */
function clientConfigOf(dataSource: DataSource): ClientConfig {
  const { options } = (dataSource.driver as unknown as { master: { options: ClientConfig } }).master;
  return { ...options, password: options.password };
}
