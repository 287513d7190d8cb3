import type { JobState } from '../storage/job-state.js';

/**
 * What makes a job the same as another one: while one of them holds the key, enqueuing another enqueues nothing and answers the
 * one that is there. The kind is always part of the key; `{}` allows one job of the kind at a time.
 *
 * `docs/uniqueness.md` has the rules.
 *
 * @example
 * ```ts
 * export const Reindex = defineJob<{ documentId: string }>('reindex', { unique: { args: ['documentId'] } });
 * await queue.enqueue(Digest, { userId }, { unique: { args: true, period: 86_400_000, states: [...UNIQUE_STATES, 'completed'] } });
 * ```
 *
 * @publicApi
 */
export interface UniqueOptions {
  /** Any text: jobs with different texts are different. */
  readonly key?: string;
  /** The arguments as they are stored: all of them, or those at these paths, such as `user.id` or `items.0.sku`. */
  readonly args?: true | readonly string[];
  /** Whether jobs in different queues are different. Default false. */
  readonly queue?: boolean;
  /**
   * Milliseconds, 1 to ten years. Jobs enqueued in different windows of this length are different. The windows follow one another
   * from 1970-01-01 00:00 UTC on, by the database's clock: one of a day begins at midnight UTC.
   */
  readonly period?: number;
  /** States in which a job holds its key. At least {@link UNIQUE_STATES}, the default; `completed`, `failed` and `cancelled` may be added. */
  readonly states?: readonly JobState[];
}
