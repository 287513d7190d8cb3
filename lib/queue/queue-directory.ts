import { UnknownQueueError } from '../errors/index.js';
import type { Database } from '../storage/connection/database.js';
import { listQueues } from '../storage/operations/queues.js';
import type { SqlPort } from '../storage/sql-port.js';

/** How long the answer that a queue does not exist is believed, in milliseconds. */
const RELOAD_INTERVAL_MS = 1_000;

/**
 * The queues that exist, remembered. An enqueue asks here first, so that a mistyped name is refused before a statement
 * runs in the caller's transaction, where an error would cost the transaction.
 */
export class QueueDirectory {
  private readonly names = new Set<string>();
  private loadedAt = Number.NEGATIVE_INFINITY;
  private loading: Promise<void> | undefined;

  constructor(private readonly database: Database) {}

  /**
   * @param port the caller's transaction, when it has one: it may hold the last connection of the pool, which would never
   *   have one to look with. Reading there costs the transaction nothing.
   * @throws UnknownQueueError when no process has registered the queue.
   */
  async require(queue: string, port?: SqlPort): Promise<void> {
    if (this.names.has(queue)) return;
    if (performance.now() - this.loadedAt > RELOAD_INTERVAL_MS)
      await (port === undefined ? this.reload() : this.load(port));
    if (!this.names.has(queue)) throw new UnknownQueueError(queue, [...this.names]);
  }

  /** Shared by whoever asks meanwhile. A look in a transaction never is: what it waits for may wait for another. */
  private reload(): Promise<void> {
    this.loading ??= this.load(this.database.pool).finally(() => {
      this.loading = undefined;
    });
    return this.loading;
  }

  /** Only adds: an old snapshot may not show the newest queues. */
  private async load(port: SqlPort): Promise<void> {
    for (const name of await listQueues(port, this.database.schema)) this.names.add(name);
    this.loadedAt = performance.now();
  }
}
