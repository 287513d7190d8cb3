import type { EntityManager, QueryRunner } from 'typeorm';
import type { JsonSafe } from './json.js';

/**
 * The attempt that a handler is working on.
 *
 * @publicApi
 */
export interface JobContext {
  /**
   * Aborted when the work should stop: the job was cancelled, ran out of time or was taken over by another process,
   * or the application is shutting down. Pass it on to whatever can be interrupted.
   */
  readonly signal: AbortSignal;
  /** Same as `job.id`. */
  readonly jobId: string;
  /** Same as `job.attempt`. */
  readonly attempt: number;
  /** Same as `job.runLease`. */
  readonly runLease: number;
  /**
   * Says how far the work has come, for whoever looks at the job (`getJob`). Cheap enough for a loop: what is said within half a
   * second is stored together with all that the other attempts of the process say, the last word only. It never fails or waits
   * for the database's sake; what was said last is stored before the attempt fails, and forgotten when it succeeds.
   *
   * @param percent 0 to 100
   * @param message at most 1,000 characters; replaces the one before
   * @throws InvalidOptionsError for anything else
   * @example ctx.setProgress((100 * done) / total, `${done} of ${total} pages`);
   */
  readonly setProgress: (percent: number, message?: string) => void;
  /**
   * Leaves something behind for the next attempt of the job, which gets it as `job.checkpoint`. It replaces the one before; null
   * takes it back. It is kept through errors, retries, snoozes, shutdowns and the death of the process, and dropped when the job
   * is completed.
   *
   * @param data at most 64 KiB as JSON; jsonb keeps it, and with it not the order of keys
   * @returns resolves when it is durable, and what `setProgress` said before with it. While the database is away it waits.
   * @throws InvalidOptionsError at once, for what JSON would lose or change, NUL, and what is too large; nothing is stored then
   * @throws StaleAttemptError when the attempt is over: cancelled, or taken over by another process. `signal` is aborted then
   * @example await ctx.checkpoint({ nextPage: page + 1 });
   */
  readonly checkpoint: <Data>(data: Data & JsonSafe<Data>) => Promise<void>;
  /**
   * Resolves when all that `setProgress` and `checkpoint` were given is durable. While the database is away it waits.
   *
   * @throws StaleAttemptError as `checkpoint` does
   */
  readonly flush: () => Promise<void>;
  /**
   * Completes the attempt in a transaction of yours: the job is completed if and when that commits, together with everything else in it.
   * When it rolls back, the attempt is as if nothing had been said. After the commit the handler should just return: what it returns or
   * throws does not count any more.
   *
   * Make it the last statement before COMMIT, once a transaction: until then it locks the claim that the attempt is part of, and other
   * transactions that complete, and whoever would rescue or cancel, jobs of that claim wait.
   *
   * @param transaction the EntityManager or QueryRunner of an open READ COMMITTED transaction in the library's database
   * @throws StaleAttemptError when the attempt is over: let it roll the transaction back
   * @throws InvalidOptionsError when no transaction is open, or the handler is `transactional`, which does it by itself
   * @example
   * ```ts
   * await this.dataSource.transaction(async (manager) => {
   *   await manager.insert(Receipt, receipt);
   *   await ctx.completeIn(manager);
   * });
   * ```
   */
  readonly completeIn: (transaction: EntityManager | QueryRunner) => Promise<void>;
}

/**
 * The attempt that a handler with `transactional: true` is working on.
 *
 * @publicApi
 */
export interface TransactionalJobContext extends JobContext {
  /**
   * In a READ COMMITTED transaction of the application's DataSource, begun for this attempt. It commits with the end of the attempt when
   * the handler returns, and rolls back when it throws.
   */
  readonly manager: EntityManager;
}
