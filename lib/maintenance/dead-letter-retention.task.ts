import { purgeExpiredDeadLetters } from '../storage/operations/purge-dead-letters.js';
import type { SchemaName } from '../storage/schema-name.js';
import type { SqlPort } from '../storage/sql-port.js';
import type { MaintenanceTask } from './maintenance-task.interface.js';

/** Entries deleted with one statement. */
const BATCH = 1_000;

/** Statements a run: what is left waits for the next one. */
const BATCHES_PER_RUN = 100;

/** Deletes dead letters when their queue's retention is over. Any number of processes may run it at once. */
export class DeadLetterRetentionTask implements MaintenanceTask {
  readonly name = 'dead letter retention';

  constructor(
    private readonly port: SqlPort,
    private readonly schema: SchemaName,
    readonly intervalMs = 60_000,
  ) {}

  async run(): Promise<void> {
    for (let batch = 0; batch < BATCHES_PER_RUN; batch++) {
      if ((await purgeExpiredDeadLetters(this.port, this.schema, BATCH)) < BATCH) return;
    }
  }
}
