import { Logger } from '@nestjs/common';
import { rescueAttempts } from '../storage/operations/instances.js';
import type { RescuedAttempt } from '../storage/operations/claim-pages.js';
import type { SchemaName } from '../storage/schema-name.js';
import type { SqlPort } from '../storage/sql-port.js';
import type { MaintenanceTask } from './maintenance-task.interface.js';
import { RefusalLog } from './refusal-log.js';

/** Claims taken over with one statement. */
const BATCH = 100;

/** How finely an interval is divided: a death is found this part of it after it can be told from a late heartbeat. */
const TICKS = 10;

/** Who judges the others. */
export interface RescueObserver {
  readonly instanceId: string;
  /** For how long it has been in unbroken contact with the server, in milliseconds. */
  readonly contactMs: number;
}

/**
 * Takes the attempts of processes that have stopped giving heartbeats: each counts as failed and is retried. Looks when the next
 * process could be declared lost, and once an interval: for processes that it does not know yet, and for a claim that was
 * committed after its process was struck off.
 */
export class RescueTask implements MaintenanceTask {
  readonly name = 'rescue';
  readonly intervalMs: number;
  private nextLookAt = 0;
  private readonly logger = new Logger('Awa rescue');
  private readonly refusals = new RefusalLog(this.logger, 'cannot be taken over');

  constructor(
    private readonly port: SqlPort,
    private readonly schema: SchemaName,
    /** It looks at least so often, in milliseconds. */
    private readonly lookIntervalMs: number,
    private readonly observer: RescueObserver,
    /** Jobs are due again, or have ended. */
    private readonly onRescued: (attempts: readonly RescuedAttempt[]) => void = () => undefined,
  ) {
    this.intervalMs = lookIntervalMs / TICKS;
  }

  begin(): void {
    this.nextLookAt = 0;
  }

  async run(): Promise<boolean> {
    const now = performance.now();
    if (now < this.nextLookAt) return false;
    // If this fails.
    this.nextLookAt = now + this.lookIntervalMs / 2;
    // Half a tick less: one that comes a moment early is not to wait for the next.
    const latest = now + this.lookIntervalMs - this.intervalMs / 2;
    const { instanceId, contactMs } = this.observer;
    const rescued = await rescueAttempts(
      this.port,
      this.schema,
      instanceId,
      contactMs,
      BATCH,
      (what) => this.refusals.add(what),
      this.onRescued,
      (inMs) => (this.nextLookAt = Math.min(latest, performance.now() + (inMs ?? Number.POSITIVE_INFINITY))),
    );
    if (rescued > 0) this.logger.warn(`took over ${rescued} attempt(s) of processes that are gone`);
    return true;
  }
}
