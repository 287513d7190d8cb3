import { Inject, Injectable } from '@nestjs/common';
import { WorkerControl, type WorkerState } from './worker-control.js';

/**
 * The worker of this process, to be controlled by hand. Inject it anywhere: its module is global.
 *
 * It starts by itself when the application is up, unless `worker.autoStart` is false, and stops when the application closes. All calls are
 * legal in any order and any number of times, and carried out one after the other.
 *
 * @example
 * ```ts
 * await worker.pause(); // what runs goes on
 * await maintenance();
 * await worker.resume();
 * ```
 *
 * @publicApi
 */
@Injectable()
export class AwaWorker {
  /** @internal */
  constructor(@Inject(WorkerControl) private readonly control: WorkerControl) {}

  /** What the worker does now. */
  get state(): WorkerState {
    return this.control.state;
  }

  /**
   * Begins to work; also again, after `stop()`. Paused, if `pause()` was the last word.
   *
   * @throws NotStartedError with `worker: false`, before the application is up, and when it closes
   * @throws DatabaseUnavailableError when the database is not there; it may be called again
   */
  start(): Promise<void> {
    return this.control.start();
  }

  /**
   * Claims nothing any more, until `resume()`. What runs goes on. Of this process only; `QueueAdminService.pause()` is for a queue.
   *
   * @returns resolves when no further job of this process will begin
   */
  pause(): Promise<void> {
    return this.control.pause();
  }

  /** Claims again. */
  resume(): Promise<void> {
    return this.control.resume();
  }

  /**
   * Stops as a shutdown does: waits for handlers up to `worker.shutdownTimeoutMs`, hands back what has not ended by then, and leaves no
   * connection of the worker open. A handler must not wait for it. Enqueuing goes on to work.
   *
   * @returns resolves when it has stopped
   */
  stop(): Promise<void> {
    return this.control.stop();
  }
}
