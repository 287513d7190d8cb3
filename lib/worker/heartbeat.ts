import { Logger } from '@nestjs/common';
import { heartbeat, heartbeatStatement } from '../storage/operations/instances.js';
import type { SchemaName } from '../storage/schema-name.js';
import type { SqlPort } from '../storage/sql-port.js';
import { HeartbeatThread, type ThreadMessage } from './heartbeat-thread-client.js';
import { SupervisedLoop } from './supervised-loop.js';
import { threadConfig, type ThreadConfig } from './thread-config.js';

/** A thread that crashed is started again after so many milliseconds, doubling up to the second number. */
const RESTART_MS = 1_000;
const MAX_RESTART_MS = 60_000;

/** The event loop shows that it lives at least this often, in milliseconds. */
const TICK_MS = 1_000;

export interface HeartbeatOptions {
  /** The process's own connection, for when the thread cannot. */
  readonly port: SqlPort;
  readonly schema: SchemaName;
  /** A ClientConfig of pg, for the thread's connection. */
  readonly clientConfig: object;
  readonly intervalMs: number;
  /** With an event loop that is blocked for longer, heartbeats end. */
  readonly maxBlockedLoopMs: number;
  /** The instance was declared lost. Gives what it holds up and registers a new one; repeated until it does not throw. */
  readonly onLost: (instanceId: string) => Promise<string>;
}

/**
 * Proves that this process lives, once an interval. A thread of its own does it, on its own connection, so that a handler that
 * computes for half a minute does not cost the process its leases. The event loop watches over the thread and stands in for it
 * while it cannot: at its start, after a crash, without a connection, or for good where a thread cannot be had.
 *
 * States: new -> beating (start) -> leaving (leave: losses do not matter any more) -> stopped (stop, from any state).
 */
export class Heartbeat {
  private readonly logger = new Logger('Awa heartbeat');
  private readonly loop: SupervisedLoop;
  private readonly ticker = new SupervisedLoop('event loop', async () => this.tick());
  private readonly ticks = new SharedArrayBuffer(4);
  private readonly config: ThreadConfig | undefined;
  private thread: HeartbeatThread | undefined;
  private threadCrashes = 0;
  private nextThreadAt = 0;
  /** When the thread gave its last heartbeat, unless something went wrong since; in ms of the monotonic clock, like the rest. */
  private threadBeatAt = Number.NEGATIVE_INFINITY;
  private isThreadFailing = false;
  private lastBeatAt = Number.NEGATIVE_INFINITY;
  /** Since when contact with the server has been unbroken. */
  private contactSince = Number.POSITIVE_INFINITY;
  /** Something went wrong in the thread: see at once whether the server is there. */
  private isInDoubt = false;
  private isLost = false;
  private isLeaving = false;
  private instanceId = '';

  constructor(private readonly options: HeartbeatOptions) {
    // The first heartbeat after an outage must come before others may judge again.
    this.loop = new SupervisedLoop('heartbeat', () => this.turn(), options.intervalMs);
    try {
      this.config = threadConfig(options.clientConfig);
    } catch (error) {
      this.logger.warn(
        `no thread for heartbeats, since ${describe(error)}: a handler that blocks the event loop for long will cost this process its jobs`,
      );
    }
  }

  /** For how long contact with the server has been unbroken, in milliseconds; 0 without a recent heartbeat. */
  get contactMs(): number {
    const now = performance.now();
    return now - this.lastBeatAt > 2 * this.options.intervalMs ? 0 : Math.max(now - this.contactSince, 0);
  }

  /** @param instanceId registered a moment ago */
  start(instanceId: string): void {
    this.instanceId = instanceId;
    this.noteBeat();
    this.ticker.start();
    this.loop.start();
  }

  /** Heartbeats go on, but the instance may be gone now. */
  leave(): void {
    this.isLeaving = true;
  }

  async stop(): Promise<void> {
    this.isLeaving = true;
    await Promise.all([this.loop.stop(), this.ticker.stop()]);
    await this.thread?.stop();
  }

  private async turn(): Promise<number> {
    const { intervalMs } = this.options;
    if (this.isLeaving) return intervalMs;
    if (this.isLost) await this.startAnew();
    this.tendThread();
    const now = performance.now();
    const isThreadBeating = now - this.threadBeatAt < 1.5 * intervalMs;
    const isDue = now - this.lastBeatAt >= intervalMs;
    if (this.isInDoubt || (isDue && !isThreadBeating)) {
      await this.beat();
      if (this.isLost) return 0;
    }
    return intervalMs / 4;
  }

  private async beat(): Promise<void> {
    const { port, schema } = this.options;
    try {
      this.answered(this.instanceId, await heartbeat(port, schema, this.instanceId));
      this.isInDoubt = false;
    } catch (error) {
      this.contactSince = Number.POSITIVE_INFINITY;
      throw error;
    }
  }

  private async startAnew(): Promise<void> {
    this.instanceId = await this.options.onLost(this.instanceId);
    this.isLost = false;
    this.thread?.order({ type: 'instance', instanceId: this.instanceId });
  }

  private answered(instanceId: string, isAlive: boolean): void {
    this.noteBeat();
    if (isAlive || this.isLeaving || instanceId !== this.instanceId) return;
    this.isLost = true;
    this.loop.wake();
  }

  /** A beat that came late says that there was a time in which others may not have come through either. */
  private noteBeat(): void {
    const now = performance.now();
    if (this.contactSince > now || now - this.lastBeatAt > 2 * this.options.intervalMs)
      this.contactSince = now;
    this.lastBeatAt = now;
  }

  private tick(): number {
    Atomics.add(new Int32Array(this.ticks), 0, 1);
    return Math.min(this.options.intervalMs / 2, TICK_MS);
  }

  private tendThread(): void {
    if (this.config === undefined || this.thread !== undefined || performance.now() < this.nextThreadAt)
      return;
    const { schema, intervalMs, maxBlockedLoopMs } = this.options;
    try {
      this.thread = new HeartbeatThread(
        {
          config: this.config.config,
          asksForPassword: this.config.password !== undefined,
          statement: heartbeatStatement(schema).text,
          instanceId: this.instanceId,
          intervalMs,
          maxBlockedLoopMs,
          ticks: this.ticks,
        },
        { onMessage: (message) => this.heard(message), onCrash: (reason) => this.crashed(reason) },
      );
    } catch (error) {
      this.crashed(error);
    }
  }

  private heard(message: ThreadMessage): void {
    switch (message.type) {
      case 'beat':
        this.threadBeatAt = performance.now();
        this.threadCrashes = 0;
        this.isThreadFailing = false;
        this.answered(message.instanceId, message.isAlive);
        break;
      case 'failed':
        if (!this.isThreadFailing && !this.isLeaving)
          this.logger.warn(`the thread has no connection, the event loop stands in: ${message.reason}`);
        this.isThreadFailing = true;
        this.threadBeatAt = Number.NEGATIVE_INFINITY;
        this.isInDoubt = true;
        this.loop.wake();
        break;
      case 'withheld':
        this.logger.error(
          `the event loop was blocked for ${Math.round(message.blockedMs)} ms: no heartbeat, others may take over the jobs of this process`,
        );
        break;
      case 'password':
        void this.sendPassword();
        break;
    }
  }

  /** Without an answer the thread gives up its attempt to connect. */
  private async sendPassword(): Promise<void> {
    try {
      const password = await this.config?.password?.(this.config.config);
      if (password !== undefined) this.thread?.order({ type: 'password', password });
    } catch (error) {
      this.logger.warn(`no password for the thread: ${describe(error)}`);
    }
  }

  private crashed(reason: unknown): void {
    this.thread = undefined;
    this.threadBeatAt = Number.NEGATIVE_INFINITY;
    this.nextThreadAt = performance.now() + Math.min(RESTART_MS * 2 ** this.threadCrashes, MAX_RESTART_MS);
    this.threadCrashes += 1;
    // Once, however often it is tried again.
    if (this.threadCrashes === 1)
      this.logger.warn(`the thread has crashed, the event loop stands in: ${describe(reason)}`);
    this.loop.wake();
  }
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
