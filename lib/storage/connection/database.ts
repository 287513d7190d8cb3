import type { DataSource } from 'typeorm';
import type { SchemaName } from '../schema-name.js';
import type { SqlPort } from '../sql-port.js';

/** Where an instance of the library lives: one schema of one database, and the ways to reach it. */
export interface Database {
  readonly schema: SchemaName;
  /** What migrations run against. */
  readonly target: DataSource | { readonly url: string };
  /** For calls that belong to no transaction of the caller's. Shared with the application when it gave its DataSource. */
  readonly pool: SqlPort;
  /** Whether a statement of the pool, made here and now, is part of a transaction of the caller's: some libraries patch a DataSource so. */
  isPoolBound(): boolean;
  /**
   * For connections of our own, outside that pool: a ClientConfig of pg. Not by its name, as the public declarations lead
   * here, and an application need not have @types/pg to be type-checked with them.
   */
  readonly clientConfig: object;
  /** Ends what was opened for this instance; the application's DataSource is left alone. */
  close(): Promise<void>;
}

/** The application's DataSource that the instance lives in; undefined when it has a connection string. */
export function applicationDataSource({ target }: Database): DataSource | undefined {
  return 'url' in target ? undefined : target;
}
