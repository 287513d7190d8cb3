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
}
