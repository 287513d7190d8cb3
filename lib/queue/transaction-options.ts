import type { EntityManager, QueryRunner } from 'typeorm';
import { show } from '../jobs/job-options.rules.js';
import { PgAdapter } from '../storage/adapters/pg.adapter.js';
import { TypeOrmAdapter } from '../storage/adapters/typeorm.adapter.js';
import type { SqlPort } from '../storage/sql-port.js';

/**
 * What is needed of a `pg` Client or PoolClient.
 *
 * @publicApi
 */
export interface PgClientLike {
  query(text: string, values?: unknown[]): Promise<{ rows: unknown[] }>;
}

/**
 * The transaction that a call is to be part of: at most one of these. Without any, the call is a transaction of its own.
 *
 * @publicApi
 */
export interface TransactionOptions {
  /** That of this TypeORM entity manager. One that is not in a transaction uses a connection of its pool. */
  readonly manager?: EntityManager;
  /** That of this TypeORM query runner. */
  readonly queryRunner?: QueryRunner;
  /** That of this `pg` client. */
  readonly client?: PgClientLike;
}

/** Where a call writes: the caller's own transaction, of one of three kinds. */
export type TransactionConnection =
  | { readonly type: 'manager'; readonly manager: EntityManager }
  | { readonly type: 'queryRunner'; readonly queryRunner: QueryRunner }
  | { readonly type: 'client'; readonly client: PgClientLike };

/** The one that was given; what is wrong with the choice is added to the problems. */
export function chooseConnection(
  { manager, queryRunner, client }: TransactionOptions,
  problems: string[],
): TransactionConnection | undefined {
  const given: TransactionConnection[] = [];
  if (manager !== undefined) given.push({ type: 'manager', manager });
  if (queryRunner !== undefined) given.push({ type: 'queryRunner', queryRunner });
  if (client !== undefined) given.push({ type: 'client', client });
  if (given.length > 1) problems.push('pass at most one of manager, queryRunner and client');
  for (const [name, value] of Object.entries({ manager, queryRunner, client })) {
    if (value !== undefined && typeof (value as { query?: unknown } | null)?.query !== 'function') {
      problems.push(`${name} must be able to run queries, and ${show(value)} is not`);
    }
  }
  return given[0];
}

/** The port to a transaction. */
export function transactionPort(connection: TransactionConnection): SqlPort {
  switch (connection.type) {
    case 'manager':
      return new TypeOrmAdapter(connection.manager);
    case 'queryRunner':
      return new TypeOrmAdapter(connection.queryRunner);
    case 'client':
      return new PgAdapter(connection.client);
  }
}

/**
 * The transaction that surrounds the caller, by the option `transaction`. What is in no open transaction counts as none: it would be a
 * connection of the application's pool for nothing.
 */
export function ambientConnection(
  source: (() => EntityManager | QueryRunner | undefined) | undefined,
): TransactionConnection | undefined {
  const found = source?.();
  if (found === undefined || found === null) return undefined;
  if ('queryRunner' in found) {
    return found.queryRunner?.isTransactionActive === true ? { type: 'manager', manager: found } : undefined;
  }
  const queryRunner = found as QueryRunner;
  return queryRunner.isTransactionActive ? { type: 'queryRunner', queryRunner } : undefined;
}
