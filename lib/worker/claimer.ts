import { Logger } from '@nestjs/common';
import { adoptForeignCluster } from '../migrate/adopt-cluster.js';
import type { Database } from '../storage/connection/database.js';
import { type Claim, claimJobs, type ClaimedJob, type ClaimLimit } from '../storage/operations/claim-jobs.js';
import { FOREIGN_CLUSTER } from '../storage/operations/foreign-cluster.js';
import { releaseUnknownClaims } from '../storage/operations/instances.js';
import type { SqlPort } from '../storage/sql-port.js';
import { sqlState } from '../storage/sql-state.js';
import type { ClaimBook } from './claim-book.js';
import type { QueueSlots } from './queue-slots.js';
import { SupervisedLoop } from './supervised-loop.js';

/** An idle poll backs off to so many poll intervals: notifications come in between. */
const MAX_IDLE_FACTOR = 10;

/**
 * When to compare what the database has claimed for this process with what the process knows, in milliseconds: regularly, and
 * after a claim without an answer at once and a few times more, since the server may commit it after the connection broke.
 */
const RECONCILE_INTERVAL_MS = 30_000;
const RECONCILE_AFTER_LOSS_MS = [0, 2_000, 8_000];

/** Somebody else was claiming from the lanes that have jobs: look again after so many milliseconds, and up to as many more. */
const CONTENDED_RETRY_MS = 5;

export interface ClaimerOptions {
  readonly pollIntervalMs: number;
  /** The instance to claim for, now. */
  instanceId(): string;
  /** Whether results pile up: claim nothing then. */
  isBlocked(): boolean;
  /** Takes over a job; its slot is taken. */
  run(job: ClaimedJob): void;
  /** Takes over a job that came too late to be run. */
  handBack(job: ClaimedJob): void;
}

/**
 * Claims jobs for all queues of the process with one statement a turn, never more than there are free slots.
 *
 * Woken by a notification, by a slot that becomes free in a queue where more is known to wait (its last claim took all
 * that it could), or by the poll.
 */
export class Claimer {
  private readonly logger = new Logger('Awa claimer');
  private readonly loop = new SupervisedLoop('claimer', () => this.turn());
  private stopping = false;
  /** Queues whose last claim took all that it could: more may wait, for the next slot that is freed. */
  private readonly backlogged = new Set<string>();
  private idleTurns = 0;
  private nextReconcileAt = performance.now() + RECONCILE_INTERVAL_MS;
  /** Waiting times that remain after an answer was lost. */
  private reconcileDelays: number[] = [];

  constructor(
    private readonly port: SqlPort,
    private readonly database: Database,
    private readonly slots: QueueSlots,
    private readonly book: ClaimBook,
    private readonly options: ClaimerOptions,
  ) {}

  start(): void {
    this.loop.start();
  }

  /** There may be work. */
  wake(): void {
    this.idleTurns = 0;
    this.loop.wake();
  }

  /** A slot of the queue is free again. */
  slotFreed(queue: string): void {
    if (this.backlogged.has(queue)) this.loop.wake();
  }

  /** Resolves when no claim is under way. */
  settled(): Promise<void> {
    return this.loop.settled();
  }

  /** Resolves when no claim is under way and none will be. */
  async stop(): Promise<void> {
    this.stopping = true;
    await this.loop.stop();
    // Nobody else would hand it back untouched. Without a database it is left to the rescue.
    if (this.reconcileDelays.length > 0) await this.reconcile(true).catch(() => undefined);
  }

  private async turn(): Promise<number> {
    await this.reconcile();
    if (this.options.isBlocked()) return this.options.pollIntervalMs;
    const limits = this.slots.free();
    // Every slot is taken, and so every queue backlogged: the next slot that is freed wakes the loop.
    if (limits.length === 0) return this.untilReconcile(Number.POSITIVE_INFINITY);

    const { jobs, more, contended, refused } = await this.claim(limits);
    for (const job of jobs) {
      if (this.stopping) this.options.handBack(job);
      else this.options.run(job);
    }
    for (const { queue, limit } of limits) {
      if (count(jobs, queue) >= limit || more.includes(queue)) this.backlogged.add(queue);
      else this.backlogged.delete(queue);
    }
    // Work that others claim now may be ours at the next look: not a reason to look less often.
    this.idleTurns = jobs.length > 0 || refused.length > 0 ? 0 : this.idleTurns + 1;
    if (this.slots.free().some(({ queue }) => this.backlogged.has(queue))) return 0;
    if (contended.length > 0) return CONTENDED_RETRY_MS * (1 + Math.random());
    const factor = Math.min(Math.max(this.idleTurns, 1), MAX_IDLE_FACTOR);
    return this.untilReconcile(this.options.pollIntervalMs * factor);
  }

  private async claim(limits: readonly ClaimLimit[]): Promise<Claim> {
    try {
      const claim = await claimJobs(this.port, this.database.schema, this.options.instanceId(), limits);
      this.book.add(claim.jobs);
      for (const { queue } of claim.jobs) this.slots.take(queue);
      return claim;
    } catch (error) {
      this.reconcileDelays = [...RECONCILE_AFTER_LOSS_MS];
      this.nextReconcileAt = 0;
      // Restored under this process. The instance is struck off with the others, and registers anew at its next heartbeat.
      if (sqlState(error) === FOREIGN_CLUSTER) await adoptForeignCluster(this.database, this.port);
      throw error;
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
