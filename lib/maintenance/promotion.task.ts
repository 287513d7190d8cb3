import type { SchemaName } from '../storage/schema-name.js';
import { promoteDeferred } from '../storage/operations/promote-deferred.js';
import type { SqlPort } from '../storage/sql-port.js';
import type { MaintenanceTask } from './maintenance-task.interface.js';

/** Jobs moved with one statement. */
const BATCH = 1_000;

/** Statements a run: a large backlog of due jobs is moved in several runs. */
const BATCHES_PER_RUN = 32;

/** Another process may have deferred a job meanwhile: look at least this often, in milliseconds. */
const MAX_WAIT_MS = 1_000;

/**
 * Makes scheduled and retryable jobs claimable when they are due. Knows when the next one is, and leaves the database alone
 * until then. Every process may run it: rows are taken with SKIP LOCKED.
 */
export class PromotionTask implements MaintenanceTask {
  readonly name = 'promotion';
  readonly intervalMs = 100;
  private nextLookAt = 0;

  constructor(
    private readonly port: SqlPort,
    private readonly schema: SchemaName,
    /** Promoted jobs wait for a claim. */
    private readonly onPromoted: () => void,
  ) {}

  /** A job of this process will be due in so many milliseconds. */
  expect(inMs: number): void {
    this.nextLookAt = Math.min(this.nextLookAt, performance.now() + inMs);
  }

  async run(): Promise<void> {
    if (performance.now() < this.nextLookAt) return;
    this.nextLookAt = performance.now() + MAX_WAIT_MS;
    for (let batch = 0; batch < BATCHES_PER_RUN; batch++) {
      const { promoted, nextInMs } = await promoteDeferred(this.port, this.schema, BATCH);
      if (promoted > 0) this.onPromoted();
      if (promoted < BATCH) {
        if (nextInMs !== undefined) this.expect(nextInMs);
        return;
      }
    }
    this.nextLookAt = 0;
  }
}
