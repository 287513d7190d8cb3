import { PgAdapter } from '../storage/adapters/pg.adapter.js';
import { TypeOrmAdapter } from '../storage/adapters/typeorm.adapter.js';
import type { SqlPort } from '../storage/sql-port.js';
import type { EnqueueConnection } from './resolve-enqueue-options.js';

/** The port to the transaction an enqueue is to be part of. */
export function enqueuePort(connection: EnqueueConnection): SqlPort {
  switch (connection.type) {
    case 'manager':
      return new TypeOrmAdapter(connection.manager);
    case 'queryRunner':
      return new TypeOrmAdapter(connection.queryRunner);
    case 'client':
      return new PgAdapter(connection.client);
  }
}
