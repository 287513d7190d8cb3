import type { JobPriority, JsonValue, UniqueOptions } from '../jobs/index.js';
import type { TransactionOptions } from './transaction-options.js';

/**
 * How one job is enqueued. Whatever is left out comes from the job's definition.
 *
 * At most one of `manager`, `queryRunner` and `client` may be given. The job is then written in the transaction
 * that is open there, and commits or rolls back with it.
 *
 * @example
 * ```ts
 * await dataSource.transaction(async (manager) => {
 *   const order = await manager.save(Order, draft);
 *   await queue.enqueue(SendReceipt, { orderId: order.id }, { manager, delay: 60_000 });
 * });
 * ```
 *
 * @publicApi
 */
export interface EnqueueOptions extends TransactionOptions {
  /** Queue to put the job into; 1 to 200 characters. */
  readonly queue?: string;
  /** 1 (most urgent) to 4. */
  readonly priority?: JobPriority;
  /** Attempts before the job counts as failed, 1 to 1000. */
  readonly maxAttempts?: number;
  /** Not before this time, as the database's clock has it. Not together with `delay`. */
  readonly runAt?: Date;
  /** Not before so many milliseconds after the enqueue, 0 to ten years. Not together with `runAt`. */
  readonly delay?: number;
  /**
   * On a queue with several shards, jobs of one key go to one shard and start in the order of their enqueues, if their priorities are
   * equal; 1 to 200 characters. Jobs without a key are spread. On a queue with one shard it changes nothing.
   */
  readonly orderingKey?: string;
  /** A JSON object kept with the job, at most 64 KiB. Keys that begin with `awa:` are reserved. */
  readonly metadata?: Readonly<Record<string, JsonValue>>;
  /** Tags besides those of the definition: at most 20 together, each of 1 to 200 characters. */
  readonly tags?: readonly string[];
  /**
   * Enqueue only when no other job has the same key; replaces the definition's, and `false` switches it off.
   * An enqueue of a unique job may wait for another transaction that enqueues the same key.
   */
  readonly unique?: UniqueOptions | false;
}
