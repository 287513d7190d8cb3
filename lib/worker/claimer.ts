import { Logger } from '@nestjs/common';
import type { Database } from '../storage/connection/database.js';
import { claimJobs, type ClaimedJob, type ClaimLimit } from '../storage/operations/claim-jobs.js';
import { releaseUnknownClaims } from '../storage/operations/instances.js';
import type { SqlPort } from '../storage/sql-port.js';
import type { ClaimBook } from './claim-book.js';
import type { QueueSlots } from './queue-slots.js';
import { SupervisedLoop } from './supervised-loop.js';

/** An idle poll backs off to so many poll intervals: notifications come in between. */
const MAX_IDLE_FACTOR = 10;

/**
 * After a claim without an answer: when to look for what it may have claimed, in milliseconds. More than once, since the
 * server may commit it after the connection broke.
 */
const RECOVERY_DELAYS_MS = [0, 2_000, 10_000];

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
  /** When to look for claims without an answer, in ms of the monotonic clock; the earliest first. */
  private recoveries: number[] = [];

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

  /** Whether the database may hold claims for this process that it does not know: one may even be committing still. */
  get isUnsure(): boolean {
    return this.recoveries.length > 0;
  }

  /** Resolves when no claim is under way and none will be. */
  async stop(): Promise<void> {
    this.stopping = true;
    await this.loop.stop();
    // Nobody else will look for a while. Without a database it is left to the rescue of this instance.
    if (this.isUnsure) await this.releaseUnknown().catch(() => undefined);
  }

  private async turn(): Promise<number> {
    await this.recover();
    if (this.options.isBlocked()) return this.options.pollIntervalMs;
    const limits = this.slots.free();
    // Every slot is taken, and so every queue backlogged: the next slot that is freed wakes the loop.
    if (limits.length === 0) return this.nextRecoveryMs(Number.POSITIVE_INFINITY);

    const jobs = await this.claim(limits);
    for (const job of jobs) {
      if (this.stopping) this.options.handBack(job);
      else this.options.run(job);
    }
    for (const { queue, limit } of limits) {
      if (count(jobs, queue) >= limit) this.backlogged.add(queue);
      else this.backlogged.delete(queue);
    }
    if (jobs.length > 0) {
      this.idleTurns = 0;
      const goOn = this.slots.free().some(({ queue }) => this.backlogged.has(queue));
      return this.nextRecoveryMs(goOn ? 0 : this.options.pollIntervalMs);
    }
    this.idleTurns += 1;
    return this.nextRecoveryMs(this.options.pollIntervalMs * Math.min(this.idleTurns, MAX_IDLE_FACTOR));
  }

  private async claim(limits: readonly ClaimLimit[]): Promise<ClaimedJob[]> {
    try {
      const jobs = await claimJobs(this.port, this.database.schema, this.options.instanceId(), limits);
      this.book.add(jobs);
      for (const { queue } of jobs) this.slots.take(queue);
      return jobs;
    } catch (error) {
      const now = performance.now();
      this.recoveries = RECOVERY_DELAYS_MS.map((delay) => now + delay);
      throw error;
    }
  }

  private async recover(): Promise<void> {
    if (this.recoveries[0] === undefined || this.recoveries[0] > performance.now()) return;
    await this.releaseUnknown();
    this.recoveries.shift();
  }

  /** Hands back what was claimed for this process by a statement whose answer never came. */
  private async releaseUnknown(): Promise<void> {
    const { schema } = this.database;
    const known = this.book.claims();
    const released = await releaseUnknownClaims(this.port, schema, this.options.instanceId(), known);
    if (released > 0) this.logger.warn(`handed back ${released} job(s) of a claim whose answer was lost`);
  }

  private nextRecoveryMs(otherwise: number): number {
    const [next] = this.recoveries;
    return next === undefined ? otherwise : Math.min(otherwise, Math.max(next - performance.now(), 1));
  }
}

function count(jobs: readonly ClaimedJob[], queue: string): number {
  return jobs.reduce((sum, job) => sum + (job.queue === queue ? 1 : 0), 0);
}
