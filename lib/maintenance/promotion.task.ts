import type { SchemaName } from '../storage/schema-name.js';
import { promoteDeferred } from '../storage/operations/promote-deferred.js';
import type { SqlPort } from '../storage/sql-port.js';
import type { MaintenanceTask } from './maintenance-task.interface.js';

/** Jobs moved with one statement. */
const BATCH = 1_000;

/** Statements a run: a large backlog of due jobs is moved in several runs. */
const BATCHES_PER_RUN = 32;

/**
 * Another process may have deferred a job meanwhile, and only the leader looks: at least this often, in milliseconds. What is due
 * sooner is announced (DUE_SOON in the migration), so a leader that does not hear of it looks more often.
 */
const MAX_WAIT_MS = 2_000;
const MAX_WAIT_UNHEARD_MS = 250;

/** A job that was due before it was committed is found by a look from the beginning, at least this often, in milliseconds. */
const FULL_LOOK_INTERVAL_MS = 60_000;

/** Who hears of jobs that are due soon, and tells with expect(). */
export interface DueSoonListener {
  /** Whether the announcements arrive. */
  readonly hearsNotifications: boolean;
}

/**
 * Makes scheduled and retryable jobs claimable when they are due. Knows when the next one is, and leaves the database alone
 * until then. Any number of processes may run it at once: rows are taken with SKIP LOCKED.
 */
export class PromotionTask implements MaintenanceTask {
  readonly name = 'promotion';
  readonly intervalMs = 100;
  private nextLookAt = 0;
  private nextFullLookAt = 0;
  /** What was due before, by the database's clock, has been moved: up to the last full look, or a minute before the last look. */
  private since: Date | undefined;

  constructor(
    private readonly port: SqlPort,
    private readonly schema: SchemaName,
    private readonly listener: DueSoonListener,
    /** Promoted jobs wait for a claim. */
    private readonly onPromoted: () => void,
  ) {}

  /** A job will be due in so many milliseconds. */
  expect(inMs: number): void {
    this.nextLookAt = Math.min(this.nextLookAt, performance.now() + inMs);
  }

  begin(): void {
    this.nextLookAt = 0;
    this.nextFullLookAt = 0;
  }

  async run(): Promise<boolean> {
    if (performance.now() < this.nextLookAt) return false;
    const { hearsNotifications } = this.listener;
    this.nextLookAt = performance.now() + (hearsNotifications ? MAX_WAIT_MS : MAX_WAIT_UNHEARD_MS);
    const isFull = performance.now() >= this.nextFullLookAt;
    if (isFull) this.since = undefined;
    for (let batch = 0; batch < BATCHES_PER_RUN; batch++) {
      const { promoted, nextInMs, lookedAt } = await promoteDeferred(
        this.port,
        this.schema,
        BATCH,
        this.since,
      );
      if (promoted > 0) this.onPromoted();
      if (promoted < BATCH) {
        if (nextInMs !== undefined) this.expect(nextInMs);
        if (isFull) this.nextFullLookAt = performance.now() + FULL_LOOK_INTERVAL_MS;
        this.since = new Date(lookedAt.getTime() - FULL_LOOK_INTERVAL_MS);
        return true;
      }
    }
    this.nextLookAt = 0;
    return true;
  }
}
