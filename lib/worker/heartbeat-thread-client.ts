import { Worker } from 'node:worker_threads';

/** What the thread starts with. All of it has to be cloneable. */
export interface ThreadSetup {
  /** A ClientConfig of pg. */
  readonly config: object;
  /** The password is a function of the process: ask for it. */
  readonly asksForPassword: boolean;
  /** SQL of a heartbeat, with the instance as its parameter. */
  readonly statement: string;
  readonly instanceId: string;
  readonly intervalMs: number;
  readonly maxBlockedLoopMs: number;
  /** An Int32 that the process's event loop counts up. */
  readonly ticks: SharedArrayBuffer;
}

/** What the thread is told. */
export type ThreadOrder =
  | { readonly type: 'instance'; readonly instanceId: string }
  | { readonly type: 'password'; readonly password: string }
  | { readonly type: 'stop' };

/** What the thread tells. */
export type ThreadMessage =
  | { readonly type: 'beat'; readonly instanceId: string; readonly isAlive: boolean }
  | { readonly type: 'failed'; readonly reason: string }
  | { readonly type: 'withheld'; readonly blockedMs: number }
  | { readonly type: 'password' };

export interface ThreadEvents {
  readonly onMessage: (message: ThreadMessage) => void;
  /** It has ended without being told to, or could not start. */
  readonly onCrash: (reason: unknown) => void;
}

/** How long a stop waits for the thread to close its connection, in milliseconds. */
const STOP_TIMEOUT_MS = 2_000;

/**
 * The thread, seen from the process. It has its own file, which works as it is wherever this one is loaded from; where a bundler
 * has left it behind, the thread crashes at its start.
 *
 * States: running -> ended, by stop() or by a crash. stop() in any state, any number of times.
 */
export class HeartbeatThread {
  private readonly worker: Worker;
  private readonly exited: Promise<void>;
  private isStopping = false;

  constructor(setup: ThreadSetup, events: ThreadEvents) {
    this.worker = new Worker(new URL('./heartbeat-thread.js', import.meta.url), {
      workerData: setup,
      name: 'awa heartbeat',
      // Loaders and the like that this process was started with are not for it.
      execArgv: [],
    });
    let crash: unknown;
    this.worker.on('message', events.onMessage);
    this.worker.on('messageerror', (error) => (crash = error));
    this.worker.on('error', (error) => (crash = error));
    this.exited = new Promise((resolve) => {
      this.worker.on('exit', (code) => {
        resolve();
        if (!this.isStopping) events.onCrash(crash ?? new Error(`it ended with code ${code}`));
      });
    });
  }

  order(order: ThreadOrder): void {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- not a window
    this.worker.postMessage(order);
  }

  /** Resolves when the thread and its connection are gone. */
  async stop(): Promise<void> {
    this.isStopping = true;
    this.order({ type: 'stop' });
    const watchdog = setTimeout(() => void this.worker.terminate(), STOP_TIMEOUT_MS);
    await this.exited;
    clearTimeout(watchdog);
  }
}
