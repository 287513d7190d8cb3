import { Logger } from '@nestjs/common';
import { rescueAttempts } from '../storage/operations/instances.js';
import type { RescuedAttempt } from '../storage/operations/claim-pages.js';
import type { SchemaName } from '../storage/schema-name.js';
import type { SqlPort } from '../storage/sql-port.js';
import type { MaintenanceTask } from './maintenance-task.interface.js';
import { RefusalLog } from './refusal-log.js';

/** Claims taken over with one statement. */
const BATCH = 100;

/** Who judges the others. */
export interface RescueObserver {
  readonly instanceId: string;
  /** For how long it has been in unbroken contact with the server, in milliseconds. */
  readonly contactMs: number;
}

/** Takes the attempts of processes that have stopped giving heartbeats: each counts as failed and is retried. */
export class RescueTask implements MaintenanceTask {
  readonly name = 'rescue';
  private readonly logger = new Logger('Awa rescue');
  private readonly refusals = new RefusalLog(this.logger, 'cannot be taken over');

  constructor(
    private readonly port: SqlPort,
    private readonly schema: SchemaName,
    readonly intervalMs: number,
    private readonly observer: RescueObserver,
    /** Jobs are due again, or have ended. */
    private readonly onRescued: (attempts: readonly RescuedAttempt[]) => void = () => undefined,
  ) {}

  async run(): Promise<void> {
    const { instanceId, contactMs } = this.observer;
    const rescued = await rescueAttempts(
      this.port,
      this.schema,
      instanceId,
      contactMs,
      BATCH,
      (what) => this.refusals.add(what),
      this.onRescued,
    );
    if (rescued > 0) this.logger.warn(`took over ${rescued} attempt(s) of processes that are gone`);
  }
}
