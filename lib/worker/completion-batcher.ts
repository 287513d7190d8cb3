import { Logger } from '@nestjs/common';
import { DatabaseUnavailableError } from '../errors/index.js';
import type { JobState } from '../storage/job-state.js';
import type { SchemaName } from '../storage/schema-name.js';
import type { SqlPort } from '../storage/sql-port.js';
import type { ClaimedJob } from '../storage/operations/claim-jobs.js';
import {
  type Closing,
  completeFreeAttempts,
  settleFreeAttempts,
  type Settlement,
} from '../storage/operations/close-attempts.js';
import { isDataError } from '../storage/sql-state.js';
import { SupervisedLoop } from './supervised-loop.js';

/** Most attempts one statement closes. */
const MAX_BATCH = 512;

/**
 * A statement costs as much by itself as some fifty results in it: with two hundred that is little. After one with fewer, the next waits
 * for more to come, twice as long as that took; in milliseconds at most.
 */
const WORTH_A_FLUSH = 200;
const MAX_PAUSE_MS = 20;

/** An attempt whose claim somebody has locked is tried again after so many milliseconds. */
const BUSY_RETRY_MS = 50;

/** With so many results waiting for the database, no more jobs are claimed. */
const MAX_PENDING = 4096;

/** The error of an attempt whose own error or outcome the database does not take. */
const UNSTORABLE = 'the result of the attempt could not be stored';

/** What became of an attempt. `stale`: it was somebody else's, and its result does not count. */
export type ClosedState = JobState | 'stale';

/** Hears of every attempt that is closed, after the commit. */
export type ClosedListener = (job: ClaimedJob, state: ClosedState, settlement?: Settlement) => void;

/** How a result is kept until it is durable. */
interface Pending<Item> {
  readonly item: Item;
  /** A flush with it ended without an answer: it may be durable already. */
  unsure: boolean;
  /** It is durable, or stale. */
  closed: boolean;
  /** Its claim is locked by a transaction of the application's: it waits for its next try. */
  parked: boolean;
}

/**
 * Makes results durable, many with one statement. A handler's slot is free when the handler ends; this is what its result
 * waits in. Results come together while a flush is under way, and for twice as long again when it was a small one, so batches grow with
 * the load. A database that is away is waited for: nothing is dropped, and claiming stops when too much has piled up.
 *
 * A flush never waits for a lock, as claims and heartbeats wait in line behind it on the same connection: what belongs to a claim that a
 * transaction of the application's has locked (a cancel, a completion within it) is put aside and tried again.
 */
export class CompletionBatcher {
  private readonly logger = new Logger('Awa completion');
  private readonly loop = new SupervisedLoop('completion', () => this.flush());
  /** Of the attempts that succeeded, those that may have saved something on their way. */
  private readonly stateful = new WeakSet<ClaimedJob>();
  private completed: Pending<ClaimedJob>[] = [];
  private settled: Pending<Settlement>[] = [];
  private inFlight = 0;
  /** Puts each result that was put aside back into its list. */
  private parked: (() => void)[] = [];
  private unparkAt = 0;
  private pauseUntil = 0;
  /** A turn waits for the pause to end: results need not wake it before they are worth it. */
  private isPausing = false;
  private onDrained: (() => void)[] = [];

  constructor(
    private readonly port: SqlPort,
    private readonly schema: SchemaName,
    private readonly onClosed: ClosedListener,
  ) {}

  start(): void {
    this.loop.start();
  }

  /** Whether claiming has to wait. */
  get isFull(): boolean {
    return this.pending >= MAX_PENDING;
  }

  /**
   * @param mayHaveState whether the attempt has tried to save something
   * @param unsure whether it may have been closed already, in a transaction of the application's
   */
  complete(job: ClaimedJob, mayHaveState = false, unsure = false): void {
    if (mayHaveState) this.stateful.add(job);
    this.completed.push({ item: job, unsure, closed: false, parked: false });
    this.wake();
  }

  settle(settlement: Settlement, unsure = false): void {
    this.settled.push({ item: settlement, unsure, closed: false, parked: false });
    this.wake();
  }

  /** Resolves when everything handed in so far is durable. */
  drained(): Promise<void> {
    if (this.pending === 0) return Promise.resolve();
    return new Promise((resolve) => this.onDrained.push(resolve));
  }

  stop(): Promise<void> {
    return this.loop.stop();
  }

  /** Results that are not durable yet. */
  get pending(): number {
    return this.completed.length + this.settled.length + this.inFlight + this.parked.length;
  }

  private wake(): void {
    if (!this.isPausing || this.pauseMs() <= 0) this.loop.wake();
  }

  private pauseMs(): number {
    const isWorthIt = this.completed.length + this.settled.length >= WORTH_A_FLUSH;
    return isWorthIt ? 0 : this.pauseUntil - performance.now();
  }

  private async flush(): Promise<number> {
    const pauseMs = this.pauseMs();
    this.isPausing = pauseMs > 0;
    if (this.isPausing) return pauseMs;
    const startedAt = performance.now();
    const results = this.completed.length + this.settled.length;
    if (this.unparkAt <= performance.now()) for (const unpark of this.parked.splice(0)) unpark();
    await this.flushBatch(this.completed.splice(0, MAX_BATCH), this.completed, (items) =>
      this.writeCompleted(items),
    );
    await this.flushBatch(this.settled.splice(0, MAX_BATCH), this.settled, (items) =>
      this.writeSettled(items),
    );
    const endedAt = performance.now();
    if (results < WORTH_A_FLUSH)
      this.pauseUntil = endedAt + Math.min(2 * (endedAt - startedAt), MAX_PAUSE_MS);
    if (this.pending > this.parked.length) return 0;
    if (this.parked.length > 0) return Math.max(this.unparkAt - performance.now(), 1);
    for (const resolve of this.onDrained.splice(0)) resolve();
    return Number.POSITIVE_INFINITY;
  }

  /** What could not be written goes back to the front of its list. */
  private async flushBatch<Item>(
    batch: Pending<Item>[],
    list: Pending<Item>[],
    write: (items: Pending<Item>[]) => Promise<void>,
  ): Promise<void> {
    if (batch.length === 0) return;
    this.inFlight += batch.length;
    try {
      await this.writeOrSplit(batch, write);
    } catch (error) {
      const left = batch.filter(({ closed, parked }) => !closed && !parked);
      if (error instanceof DatabaseUnavailableError) for (const pending of left) pending.unsure = true;
      list.unshift(...left);
      throw error;
    } finally {
      this.inFlight -= batch.length;
    }
  }

  /** One result the server refuses must not hold up the others for ever: the batch is halved until it stands alone. */
  private async writeOrSplit<Item>(
    batch: Pending<Item>[],
    write: (items: Pending<Item>[]) => Promise<void>,
  ): Promise<void> {
    try {
      await write(batch);
    } catch (error) {
      if (!isDataError(error)) throw error;
      if (batch.length === 1 && batch[0] !== undefined) return this.giveUp(batch[0], error);
      const middle = batch.length >> 1;
      await this.writeOrSplit(batch.slice(0, middle), write);
      await this.writeOrSplit(batch.slice(middle), write);
    }
  }

  /** What cannot be stored as it is becomes an error that can: the attempt ends, and the job is tried again. */
  private giveUp(pending: Pending<unknown>, cause: unknown): void {
    this.logger.error(`a result cannot be stored: ${String(cause)}`);
    const { item } = pending as Pending<Settlement | ClaimedJob>;
    pending.closed = true;
    if (!('outcome' in item)) this.closed(item, 'stale', true);
    else if (item.error === UNSTORABLE) this.closed(item.job, 'stale', true, item);
    else this.settle({ job: item.job, outcome: 'error', error: UNSTORABLE, delayMs: undefined });
  }

  private async writeCompleted(batch: Pending<ClaimedJob>[]): Promise<void> {
    const jobs = batch.map(({ item }) => item);
    const mayHaveState = (job: ClaimedJob) => this.stateful.has(job);
    const states = await completeFreeAttempts(this.port, this.schema, jobs, mayHaveState);
    batch.forEach((pending, index) =>
      this.answered(pending, this.completed, states[index], (state) =>
        this.closed(pending.item, state, pending.unsure),
      ),
    );
  }

  private async writeSettled(batch: Pending<Settlement>[]): Promise<void> {
    const settlements = batch.map(({ item }) => item);
    const states = await settleFreeAttempts(this.port, this.schema, settlements);
    batch.forEach((pending, index) =>
      this.answered(pending, this.settled, states[index], (state) =>
        this.closed(pending.item.job, state, pending.unsure, pending.item),
      ),
    );
  }

  private answered<Item>(
    pending: Pending<Item>,
    list: Pending<Item>[],
    state: Closing | undefined,
    close: (state: ClosedState) => void,
  ): void {
    if (state === 'busy') return this.park(pending, list);
    pending.closed = true;
    close(state ?? 'stale');
  }

  private park<Item>(pending: Pending<Item>, list: Pending<Item>[]): void {
    if (this.parked.length === 0) this.unparkAt = performance.now() + BUSY_RETRY_MS;
    pending.parked = true;
    this.parked.push(() => {
      pending.parked = false;
      list.push(pending);
    });
  }

  private closed(job: ClaimedJob, state: ClosedState, unsure: boolean, settlement?: Settlement): void {
    if (state === 'stale' && !unsure) {
      this.logger.warn(
        `job ${job.jobId} (${job.kind}): attempt ${job.runLease} had been taken away, its result is not kept`,
      );
    }
    this.onClosed(job, state, settlement);
  }
}
