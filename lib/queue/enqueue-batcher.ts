import { AsyncResource } from 'node:async_hooks';
import type { Database } from '../storage/connection/database.js';
import { enqueueJobs, type NewJob } from '../storage/operations/enqueue-jobs.js';
import { isOutage, sqlState } from '../storage/sql-state.js';

/** Statements at a time. The pool of a process that has no other database is as large. */
const MAX_UNDER_WAY = 2;

/** A statement that takes longer holds up nobody any more: its connection may be the one that is broken. In milliseconds. */
const PATIENCE_MS = 1_000;

/** Most jobs and characters of arguments that are brought together; a call with more goes by itself. */
const MAX_JOBS = 500;
const MAX_CHARACTERS = 1_048_576;

interface Call {
  readonly jobs: readonly NewJob[];
  readonly characters: number;
  readonly resolve: (ids: string[]) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Brings enqueues that come at the same time, each outside of any transaction, into one statement and so into one commit.
 *
 * A call goes at once while fewer than two statements are under way; those that come meanwhile go together when one has ended. So one
 * caller waits for nothing, and batches grow with the load. A call is answered when its jobs are committed. It never fails for what
 * is wrong with another: if the server refuses a batch, nothing of it was written, and each call is made by itself.
 */
export class EnqueueBatcher {
  private readonly waiting: Call[] = [];
  private underWay = 0;
  /** Statements belong to no request: whatever follows the asynchronous context of a caller must not take them for its own. */
  private readonly scope = new AsyncResource('AwaEnqueueBatcher');

  constructor(private readonly database: Database) {}

  /** @returns the ids, in the order of the jobs */
  add(jobs: readonly NewJob[]): Promise<string[]> {
    const characters = jobs.reduce(
      (sum, { argsJson, payloadJson }) => sum + argsJson.length + (payloadJson?.length ?? 0),
      0,
    );
    if (jobs.length > MAX_JOBS || characters > MAX_CHARACTERS) return this.write(jobs);
    return new Promise((resolve, reject) => {
      this.waiting.push({ jobs, characters, resolve, reject });
      this.pump();
    });
  }

  private pump(): void {
    while (this.underWay < MAX_UNDER_WAY && this.waiting.length > 0) {
      this.underWay += 1;
      const calls = this.nextBatch();
      this.scope.runInAsyncScope(() => void this.send(calls));
    }
  }

  private async send(calls: readonly Call[]): Promise<void> {
    let isCounted = true;
    const leave = () => {
      if (!isCounted) return;
      isCounted = false;
      this.underWay -= 1;
      this.pump();
    };
    const patience = setTimeout(leave, PATIENCE_MS);
    await this.answer(calls);
    clearTimeout(patience);
    leave();
  }

  /** Never rejects. */
  private async answer(calls: readonly Call[]): Promise<void> {
    try {
      const ids = await this.write(calls.flatMap(({ jobs }) => jobs));
      let from = 0;
      for (const { jobs, resolve } of calls) resolve(ids.slice(from, (from += jobs.length)));
    } catch (error) {
      if (calls.length > 1 && wasRefused(error)) for (const call of calls) await this.answer([call]);
      else for (const { reject } of calls) reject(error);
    }
  }

  private nextBatch(): Call[] {
    let [jobs, characters, calls] = [0, 0, 0];
    for (const call of this.waiting) {
      jobs += call.jobs.length;
      characters += call.characters;
      if (calls > 0 && (jobs > MAX_JOBS || characters > MAX_CHARACTERS)) break;
      calls += 1;
    }
    return this.waiting.splice(0, calls);
  }

  private write(jobs: readonly NewJob[]): Promise<string[]> {
    return enqueueJobs(this.database.pool, this.database.schema, jobs);
  }
}

/** The server said no, so nothing was written. After anything else the statement may have been committed. */
function wasRefused(error: unknown): boolean {
  const state = sqlState(error) ?? sqlState((error as { readonly cause?: unknown } | null)?.cause);
  return state !== undefined && !isOutage(state);
}
