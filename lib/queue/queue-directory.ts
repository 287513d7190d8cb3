import { UnknownQueueError } from '../errors/index.js';
import type { Database } from '../storage/connection/database.js';
import { listQueues } from '../storage/operations/queues.js';

/** How long the answer that a queue does not exist is believed, in milliseconds. */
const RELOAD_INTERVAL_MS = 1_000;

/**
 * The queues that exist, remembered. An enqueue asks here first, so that a mistyped name is refused before a statement
 * runs in the caller's transaction, where an error would cost the transaction.
 */
export class QueueDirectory {
  private names = new Set<string>();
  private loadedAt = Number.NEGATIVE_INFINITY;
  private loading: Promise<void> | undefined;

  constructor(private readonly database: Database) {}

  /** @throws UnknownQueueError when no process has registered the queue. */
  async require(queue: string): Promise<void> {
    if (this.names.has(queue)) return;
    if (performance.now() - this.loadedAt > RELOAD_INTERVAL_MS) await this.load();
    if (!this.names.has(queue)) throw new UnknownQueueError(queue, [...this.names]);
  }

  private load(): Promise<void> {
    this.loading ??= listQueues(this.database.pool, this.database.schema)
      .then((names) => {
        this.names = new Set(names);
        this.loadedAt = performance.now();
      })
      .finally(() => {
        this.loading = undefined;
      });
    return this.loading;
  }
}
