import { expireUniqueKeys } from '../storage/operations/expire-unique-keys.js';
import type { SchemaName } from '../storage/schema-name.js';
import type { SqlPort } from '../storage/sql-port.js';
import type { MaintenanceTask } from './maintenance-task.interface.js';

/** Keys dropped with one statement. */
const BATCH = 1_000;

/**
 * Drops the unique keys that ended jobs held until the end of a period. Nobody waits for it: the next period has keys of its
 * own. Any number of processes may run it at once.
 */
export class UniqueKeysTask implements MaintenanceTask {
  readonly name = 'unique keys';
  readonly intervalMs = 30_000;

  constructor(
    private readonly port: SqlPort,
    private readonly schema: SchemaName,
  ) {}

  async run(): Promise<void> {
    let expired: number;
    do expired = await expireUniqueKeys(this.port, this.schema, BATCH);
    while (expired === BATCH);
  }
}
