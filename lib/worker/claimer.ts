import { Logger } from '@nestjs/common';
import type { Database } from '../storage/connection/database.js';
import {
  type ClaimedJob,
  type ClaimLimit,
  claimRound,
  type ClaimRound,
} from '../storage/operations/claim-jobs.js';
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
 * Woken by a notification, by a slot that becomes free while more work is known to wait (the last claim filled its limit),
 * or by the poll.
 */
export class Claimer {
  private readonly logger = new Logger('Awa claimer');
  private readonly loop = new SupervisedLoop('claimer', () => this.turn());
  private stopping = false;
  private moreWaiting = false;
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

  /** A slot is free again. */
  slotFreed(): void {
    if (this.moreWaiting) this.loop.wake();
  }

  /** Resolves when no claim is under way and none will be. */
  async stop(): Promise<void> {
    this.stopping = true;
    await this.loop.stop();
  }

  private async turn(): Promise<number> {
    await this.recover();
    if (this.options.isBlocked()) return this.options.pollIntervalMs;
    const limits = this.slots.free();
    // Every slot is taken: the next that is freed wakes the loop.
    this.moreWaiting = limits.length === 0;
    if (this.moreWaiting) return this.nextRecoveryMs(Number.POSITIVE_INFINITY);

    const { jobs, refused } = await this.claim(limits);
    for (const job of jobs) {
      if (this.stopping) this.options.handBack(job);
      else this.options.run(job);
    }
    this.moreWaiting = limits.some(({ queue, limit }) => count(jobs, queue) >= limit);
    if (jobs.length > 0) {
      this.idleTurns = 0;
      return this.moreWaiting && this.slots.free().length > 0 ? 0 : this.options.pollIntervalMs;
    }
    // Work that others claim now may be ours at the next look: not a reason to look less often.
    this.idleTurns = refused.length > 0 ? 1 : this.idleTurns + 1;
    return this.nextRecoveryMs(this.options.pollIntervalMs * Math.min(this.idleTurns, MAX_IDLE_FACTOR));
  }

  private async claim(limits: readonly ClaimLimit[]): Promise<ClaimRound> {
    try {
      const round = await claimRound(this.port, this.database.schema, this.options.instanceId(), limits);
      this.book.add(round.jobs);
      for (const { queue } of round.jobs) this.slots.take(queue);
      return round;
    } catch (error) {
      const now = performance.now();
      this.recoveries = RECOVERY_DELAYS_MS.map((delay) => now + delay);
      throw error;
    }
  }

  /** Hands back what was claimed for this process by a statement whose answer never came. */
  private async recover(): Promise<void> {
    if (this.recoveries[0] === undefined || this.recoveries[0] > performance.now()) return;
    const { schema } = this.database;
    const released = await releaseUnknownClaims(
      this.port,
      schema,
      this.options.instanceId(),
      this.book.claims(),
    );
    if (released > 0) this.logger.warn(`handed back ${released} job(s) of a claim whose answer was lost`);
    this.recoveries.shift();
  }

  private nextRecoveryMs(otherwise: number): number {
    const [next] = this.recoveries;
    return next === undefined ? otherwise : Math.min(otherwise, Math.max(next - performance.now(), 1));
  }
}

function count(jobs: readonly ClaimedJob[], queue: string): number {
  return jobs.reduce((sum, job) => sum + (job.queue === queue ? 1 : 0), 0);
}
