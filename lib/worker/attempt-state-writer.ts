import { Logger } from '@nestjs/common';
import {
  type AttemptStateChange,
  saveAttemptStates,
  type SaveResult,
} from '../storage/operations/save-attempt-states.js';
import type { SchemaName } from '../storage/schema-name.js';
import type { SqlPort } from '../storage/sql-port.js';
import { isDataError } from '../storage/sql-state.js';
import type { AttemptState, AttemptStateSink } from './attempt-state.js';
import { SupervisedLoop } from './supervised-loop.js';

/** What nobody waits for is written this often at most, in milliseconds. */
const WRITE_INTERVAL_MS = 500;

/** A claim that somebody has locked is tried again after so many milliseconds. */
const BUSY_RETRY_MS = 100;

/** Most attempts, and about how many characters of checkpoints, one statement saves. */
const MAX_BATCH = 512;
const MAX_BATCH_LENGTH = 1024 * 1024;

/**
 * Stores progress and checkpoints, those of all attempts of the process with one statement. What was only said (setProgress)
 * waits for the interval to pass; what somebody waits for (checkpoint, flush, a failure) goes at once and takes the rest along.
 * A database that is away is waited for.
 */
export class AttemptStateWriter implements AttemptStateSink {
  private readonly logger = new Logger('Awa attempt state');
  private readonly loop = new SupervisedLoop('attempt state', () => this.turn());
  private readonly dirty = new Set<AttemptState>();
  private isUrgent = false;
  private dueAt = 0;

  constructor(
    private readonly port: SqlPort,
    private readonly schema: SchemaName,
    private readonly intervalMs = WRITE_INTERVAL_MS,
  ) {}

  start(): void {
    this.loop.start();
  }

  stop(): Promise<void> {
    return this.loop.stop();
  }

  changed(state: AttemptState, isUrgent: boolean): void {
    const wasIdle = this.dirty.size === 0;
    this.dirty.add(state);
    if (wasIdle) this.dueAt = performance.now() + this.intervalMs;
    // A loop that has something to do is on its way, unless it has taken its time for something that is not urgent.
    if (wasIdle || (isUrgent && !this.isUrgent)) this.loop.wake();
    this.isUrgent ||= isUrgent;
  }

  forget(state: AttemptState): void {
    this.dirty.delete(state);
  }

  /** Resolves when everything said so far is durable, or refused. */
  async flushed(): Promise<void> {
    await Promise.all([...this.dirty].map(async (state) => state.settled()));
  }

  private async turn(): Promise<number> {
    if (this.dirty.size === 0) return Number.POSITIVE_INFINITY;
    const waitMs = this.isUrgent ? 0 : this.dueAt - performance.now();
    if (waitMs > 0) return waitMs;
    this.isUrgent = false;
    this.dueAt = performance.now() + this.intervalMs;
    const batch = this.nextBatch();
    // What does not fit goes with the next turn.
    if (batch.length < this.dirty.size) this.isUrgent = true;
    try {
      const isBusy = await this.write(batch);
      if (isBusy) this.dueAt = Math.min(this.dueAt, performance.now() + BUSY_RETRY_MS);
    } catch (error) {
      this.isUrgent = true;
      throw error;
    }
    return 0;
  }

  private nextBatch(): AttemptState[] {
    const batch: AttemptState[] = [];
    let length = 0;
    for (const state of this.dirty) {
      if (batch.length === MAX_BATCH || length > MAX_BATCH_LENGTH) break;
      batch.push(state);
      length += state.unstoredLength;
    }
    // To the end of the line, whatever becomes of them: one that is refused time and again holds up nobody.
    for (const state of batch) {
      this.dirty.delete(state);
      this.dirty.add(state);
    }
    return batch;
  }

  /** @returns whether some have to be tried again */
  private async write(batch: readonly AttemptState[]): Promise<boolean> {
    const changes = batch.map((state) => state.change());
    let results: SaveResult[];
    try {
      results = await saveAttemptStates(this.port, this.schema, changes);
    } catch (error) {
      if (!isDataError(error)) throw error;
      return this.writeOneByOne(batch, changes, error);
    }
    batch.forEach((state, index) => this.answered(state, changes[index], results[index]));
    return results.includes('busy');
  }

  /** What the server does not take must not hold up the others. */
  private async writeOneByOne(
    batch: readonly AttemptState[],
    [change]: readonly AttemptStateChange[],
    cause: unknown,
  ): Promise<boolean> {
    let isBusy = false;
    if (batch.length > 1) {
      for (const state of batch) isBusy = (await this.write([state])) || isBusy;
      return isBusy;
    }
    const [state] = batch;
    if (state === undefined || change === undefined) return false;
    this.logger.error(`progress or checkpoint of job ${state.job.jobId} cannot be stored: ${String(cause)}`);
    state.drop(change.revision, cause);
    if (!state.isDirty) this.dirty.delete(state);
    return false;
  }

  private answered(
    state: AttemptState,
    change: AttemptStateChange | undefined,
    result: SaveResult | undefined,
  ): void {
    if (result === 'stale') state.refuse();
    else if (result === 'saved') state.stored(change?.revision ?? 0);
    if (!state.isDirty) this.dirty.delete(state);
  }
}
