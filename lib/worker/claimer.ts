import { Logger } from '@nestjs/common';
import { adoptForeignCluster } from '../migrate/adopt-cluster.js';
import type { Database } from '../storage/connection/database.js';
import { type Claim, claimJobs, type ClaimedJob } from '../storage/operations/claim-jobs.js';
import { FOREIGN_CLUSTER } from '../storage/operations/foreign-cluster.js';
import { releaseUnknownClaims } from '../storage/operations/instances.js';
import type { SqlPort } from '../storage/sql-port.js';
import { sqlState } from '../storage/sql-state.js';
import type { ClaimBook } from './claim-book.js';
import type { ClaimPermits, Permit } from './claim-permits.js';
import type { PrefetchSizes } from './prefetch-sizes.js';
import { QueueLooks } from './queue-looks.js';
import { SupervisedLoop } from './supervised-loop.js';

/**
 * When to compare what the database has claimed for this process with what the process knows, in milliseconds: regularly, and
 * after a claim without an answer at once and a few times more, since the server may commit it after the connection broke.
 */
const RECONCILE_INTERVAL_MS = 30_000;
const RECONCILE_AFTER_LOSS_MS = [0, 2_000, 8_000];

export interface ClaimerOptions {
  readonly queues: readonly string[];
  readonly pollIntervalMs: number;
  /** The instance to claim for, now. */
  instanceId(): string;
  /** Whether notifications arrive. */
  hearsNotifications(): boolean;
  /** Whether results pile up: claim nothing then. */
  isBlocked(): boolean;
  /** Takes over what was claimed. */
  accept(jobs: readonly ClaimedJob[]): void;
}

/**
 * Claims jobs for all queues of the process with one statement a turn, with permits that are taken before: slots and tokens.
 *
 * A turn claims when some queue is due (queue-looks.ts) and has a permit; queues that are not due ride along when they have slots,
 * unless they are known to be empty.
 * Otherwise it waits, and this ends the wait:
 *   - an announcement: a notification, a promotion, a new connection;
 *   - a slot that is freed while a queue is due, whichever it is: in a common pool it may be for another one;
 *   - the timer, when the first poll comes round or a bucket has its next token;
 *   - a result that was stored, when results had piled up.
 * A look at a queue that brought less than it might have leaves the queue not due, so that no turn claims twice for nothing.
 */
export class Claimer {
  private readonly logger = new Logger('Awa claimer');
  private readonly loop = new SupervisedLoop('claimer', () => this.turn());
  private readonly looks: QueueLooks;
  private wasBlocked = false;
  /** Since when claims have brought nothing because others were claiming. */
  private contendedSince: number | undefined;
  private nextReconcileAt = performance.now() + RECONCILE_INTERVAL_MS;
  /** Waiting times that remain after an answer was lost. */
  private reconcileDelays: number[] = [];

  constructor(
    private readonly port: SqlPort,
    private readonly database: Database,
    private readonly permits: ClaimPermits,
    private readonly prefetch: PrefetchSizes,
    private readonly book: ClaimBook,
    private readonly options: ClaimerOptions,
  ) {
    const { queues, pollIntervalMs } = options;
    this.looks = new QueueLooks(queues, pollIntervalMs, () => options.hearsNotifications());
  }

  start(): void {
    this.loop.start();
  }

  /** There may be work in the queue, or in any; in one priority, or in any. */
  wake(queue?: string, priority?: number): void {
    this.looks.announce(queue, priority);
    this.loop.wake();
  }

  /** A slot is free again, or there is room to claim ahead. */
  slotFreed(): void {
    if (this.looks.isAnyDue((queue) => this.permits.hasRoom(queue))) this.loop.wake();
  }

  /** A result is stored: what had piled up may be less now. */
  resultStored(): void {
    if (this.wasBlocked && !this.options.isBlocked()) this.loop.wake();
  }

  /** Resolves when no claim is under way. */
  settled(): Promise<void> {
    return this.loop.settled();
  }

  /** Resolves when no claim is under way and none will be. */
  async stop(): Promise<void> {
    await this.loop.stop();
    // Nobody else would hand it back untouched. Without a database it is left to the rescue.
    if (this.reconcileDelays.length > 0) await this.reconcile(true).catch(() => undefined);
  }

  private async turn(): Promise<number> {
    await this.reconcile();
    this.wasBlocked = this.options.isBlocked();
    if (this.wasBlocked) return this.untilReconcile(Number.POSITIVE_INFINITY);
    const due = this.looks.due();
    if (!this.permits.available(due).some(({ queue }) => due.has(queue))) {
      return this.untilReconcile(Math.min(this.looks.nextPollInMs(due), this.permits.tokensInMs(due)));
    }

    const permits = this.permits
      .available(due, true)
      .filter(({ queue }) => due.has(queue) || this.looks.ridesAlong(queue, due));
    const places = permits.map((permit) => ({ ...permit, priority: this.looks.begin(permit.queue) }));
    const { jobs, more, contended, refused } = await this.claim(places);
    for (const { queue, limit } of permits) {
      const taken = count(jobs, queue);
      this.looks.end(queue, {
        jobs: taken,
        priority: jobs.findLast((job) => job.queue === queue)?.priority,
        wasFull: taken >= limit || more.includes(queue),
        wasContended: contended.includes(queue),
        wasRefused: refused.includes(queue),
      });
    }
    this.options.accept(jobs);
    // The next turn knows how long to wait.
    return 0;
  }

  private async claim(permits: readonly Permit[]): Promise<Claim> {
    this.permits.take(permits);
    const claimed = new Map<string, number>();
    const startedAt = this.contendedSince ?? performance.now();
    try {
      const claim = await claimJobs(this.port, this.database.schema, this.options.instanceId(), permits);
      this.book.add(claim.jobs);
      for (const { queue } of claim.jobs) claimed.set(queue, (claimed.get(queue) ?? 0) + 1);
      // What it took to get jobs, the tries that others were ahead of included.
      if (claim.jobs.length > 0) this.prefetch.claimed(performance.now() - startedAt);
      this.contendedSince = claim.jobs.length === 0 && claim.contended.length > 0 ? startedAt : undefined;
      return claim;
    } catch (error) {
      this.reconcileDelays = [...RECONCILE_AFTER_LOSS_MS];
      this.nextReconcileAt = 0;
      // Restored under this process. The instance is struck off with the others, and registers anew at its next heartbeat.
      if (sqlState(error) === FOREIGN_CLUSTER) await adoptForeignCluster(this.database, this.port);
      throw error;
    } finally {
      this.permits.giveBack(permits, (queue) => claimed.get(queue) ?? 0);
    }
  }

  /**
   * Hands back what was claimed for this process by a statement whose answer never came. No claim is under way here, so
   * every claim the database has is either in the book or such a one.
   */
  private async reconcile(now = false): Promise<void> {
    if (!now && this.nextReconcileAt > performance.now()) return;
    const { schema } = this.database;
    const known = this.book.claims();
    const released = await releaseUnknownClaims(this.port, schema, this.options.instanceId(), known);
    if (released > 0) this.logger.warn(`handed back ${released} job(s) of a claim whose answer was lost`);
    this.reconcileDelays.shift();
    this.nextReconcileAt = performance.now() + (this.reconcileDelays[0] ?? RECONCILE_INTERVAL_MS);
  }

  private untilReconcile(otherwise: number): number {
    return Math.min(otherwise, Math.max(this.nextReconcileAt - performance.now(), 1));
  }
}

function count(jobs: readonly ClaimedJob[], queue: string): number {
  return jobs.reduce((sum, job) => sum + (job.queue === queue ? 1 : 0), 0);
}
