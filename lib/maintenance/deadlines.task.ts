import { Logger } from '@nestjs/common';
import { settleOverdue } from '../storage/operations/settle-overdue.js';
import type { SchemaName } from '../storage/schema-name.js';
import type { SqlPort } from '../storage/sql-port.js';
import type { MaintenanceTask } from './maintenance-task.interface.js';
import { RefusalLog } from './refusal-log.js';
import type { RescueObserver } from './rescue.task.js';

/** Attempts ended with one statement. */
const BATCH = 500;

/** A process ends its attempts a second after their time-out: for one that has not done so by now, in milliseconds, it is done here. */
const GRACE_MS = 10_000;

/**
 * Ends attempts that are over their time and whose process, though it lives, has not ended them: it hangs.
 *
 * While no process has time-outs it looks at every other interval only: what begins after such a look is over its time no sooner
 * than the grace after it, which is two intervals.
 */
export class DeadlinesTask implements MaintenanceTask {
  readonly name = 'deadlines';
  readonly intervalMs = GRACE_MS / 2;
  private mayRest = false;
  private readonly logger = new Logger('Awa deadlines');
  private readonly refusals = new RefusalLog(this.logger, 'cannot be ended');

  constructor(
    private readonly port: SqlPort,
    private readonly schema: SchemaName,
    private readonly observer: Pick<RescueObserver, 'contactMs'>,
    private readonly graceMs = GRACE_MS,
  ) {}

  begin(): void {
    this.mayRest = false;
  }

  async run(): Promise<boolean> {
    if (this.mayRest) {
      this.mayRest = false;
      return false;
    }
    const { contactMs } = this.observer;
    const overdue = await settleOverdue(this.port, this.schema, contactMs, this.graceMs, BATCH);
    const { attempts, refused, hasTimeouts } = overdue;
    this.mayRest = !hasTimeouts && this.graceMs >= 2 * this.intervalMs;
    if (attempts > 0) this.logger.warn(`ended ${attempts} attempt(s) that were over their time`);
    for (const what of refused) this.refusals.add(what);
    return true;
  }
}
