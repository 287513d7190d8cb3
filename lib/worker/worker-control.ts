import { AsyncResource } from 'node:async_hooks';
import { NotStartedError } from '../errors/index.js';

/**
 * What a process does about jobs. `off`: it has `worker: false`. `idle`: not started yet. `running`: it claims and runs. `paused`: what
 * runs goes on, nothing is claimed. `stopped`: nothing runs, and it can be started again, until the application closes.
 *
 * @publicApi
 */
export type WorkerState = 'off' | 'idle' | 'starting' | 'running' | 'paused' | 'stopping' | 'stopped';

/** The worker as it is controlled: each call is made in its turn. */
export interface WorkerUnit {
  start(): Promise<void>;
  /** Resolves when no claim is under way. Also before the start. */
  pause(): Promise<void>;
  resume(): void;
  /** Drains. Legal after a start that failed. */
  stop(): Promise<void>;
}

/**
 * Puts starts, pauses and stops in order: one at a time, in the order of the calls, each a no-op where there is nothing to do.
 *
 * States: closed -> open (the application is up) -> closed for good. While open: idle -> starting -> running <-> paused -> stopping ->
 * stopped -> starting ... A start that fails leads back to where it came from.
 */
export class WorkerControl {
  private unit: WorkerUnit | undefined;
  private isUp = false;
  private isPaused = false;
  private transition: 'starting' | 'stopping' | undefined;
  private resting: 'off' | 'idle' | 'stopped' = 'off';
  private last: Promise<void> = Promise.resolve();
  // Loops live on in the context in which they are started: it must not be that of a request, with its transaction.
  private readonly context = new AsyncResource('AwaWorker');

  get state(): WorkerState {
    if (this.transition !== undefined) return this.transition;
    if (!this.isUp) return this.resting;
    return this.isPaused ? 'paused' : 'running';
  }

  /** The application has a worker; before this and after `close` it cannot be started. */
  open(unit: WorkerUnit): void {
    this.unit = unit;
    this.resting = 'idle';
  }

  /** @throws NotStartedError when there is no worker to start, and what the start throws */
  start(): Promise<void> {
    return this.inTurn(async () => {
      if (this.isUp) return;
      if (this.unit === undefined) throw new NotStartedError('the worker');
      const { unit } = this;
      await this.during('starting', async () => {
        if (this.isPaused) await unit.pause();
        await this.context.runInAsyncScope(() => unit.start());
        this.isUp = true;
      });
    });
  }

  /** Remembered when the worker is not running: it starts paused. */
  pause(): Promise<void> {
    return this.inTurn(async () => {
      this.isPaused = true;
      await this.unit?.pause();
    });
  }

  resume(): Promise<void> {
    return this.inTurn(async () => {
      this.isPaused = false;
      this.unit?.resume();
    });
  }

  stop(): Promise<void> {
    return this.inTurn(async () => {
      const { unit } = this;
      if (!this.isUp || unit === undefined) return;
      await this.during('stopping', () => unit.stop());
      this.isUp = false;
      this.resting = 'stopped';
    });
  }

  /** Stops for good. */
  close(): Promise<void> {
    const stopped = this.stop();
    return stopped.finally(() => {
      this.unit = undefined;
    });
  }

  private inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.last.then(work);
    this.last = done.catch(() => undefined);
    return done;
  }

  private async during(transition: 'starting' | 'stopping', work: () => Promise<void>): Promise<void> {
    this.transition = transition;
    try {
      await work();
    } finally {
      this.transition = undefined;
    }
  }
}
