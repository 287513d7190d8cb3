import { randomBytes } from 'node:crypto';
import { Logger } from '@nestjs/common';
import type { Client } from 'pg';
import type { Database } from '../storage/connection/database.js';
import { ManagedClient } from '../storage/connection/managed-client.js';
import { leaderChannel } from '../storage/operations/leadership.js';
import { dueChannel } from '../storage/operations/promote-deferred.js';
import { notify } from '../storage/operations/notify.js';
import type { SqlPort } from '../storage/sql-port.js';
import { SupervisedLoop } from './supervised-loop.js';

/** How notifications are tested; in milliseconds. */
export interface ListenerTiming {
  /** How often, while they come. */
  readonly testMs: number;
  /** How often, and up to half as much longer, while they do not. */
  readonly retestMs: number;
  /** One that takes longer does not come. */
  readonly timeoutMs: number;
  /** A connection that then does not answer for so long either is dead. */
  readonly answerMs: number;
}

const TIMING: ListenerTiming = { testMs: 30_000, retestMs: 60_000, timeoutMs: 5_000, answerMs: 10_000 };

/** What is done about each kind of notification. */
export interface WakeHandlers {
  /** New work in a queue, in one priority or any; without a queue when anything may have been missed, or will be from now on. */
  onWake(queue?: string, priority?: number): void;
  /** The job of an attempt was cancelled while it ran. */
  onCancel(jobId: string, runLease: number): void;
  /** A job was put off for a moment only. */
  onDueSoon(): void;
  /** The leader has resigned. */
  onLeaderGone(): void;
}

/**
 * Hears of new work by LISTEN on a connection of its own. Only a shortcut: whoever listens polls as well, so a
 * notification that is lost with a connection costs time, not jobs.
 *
 * Whether notifications come at all, no error tells: a transaction pooler takes LISTEN and drops what it brings, and a connection
 * can be dead without a word. So the listener has one sent to itself, by another connection, at the start and now and then.
 */
export class WakeListener {
  private readonly logger = new Logger('Awa listener');
  private readonly loop = new SupervisedLoop('listener', () => this.turn());
  private readonly client: ManagedClient;
  private readonly testChannel: string;
  private hears = false;
  /** What the log says. */
  private told: boolean | undefined;
  private isSubscribed = false;
  private isStopped = false;
  /** Takes what a test is waiting for; nothing at all to cut it short. */
  private onTest: ((payload: string) => void) | undefined;

  constructor(
    private readonly database: Database,
    /** Not the connection that listens: what a session tells itself says nothing about what others tell it. */
    private readonly sender: SqlPort,
    private readonly handlers: WakeHandlers,
    private readonly timing = TIMING,
  ) {
    this.testChannel = `${database.schema.channel}_${randomBytes(8).toString('hex')}`;
    this.client = new ManagedClient({
      config: database.clientConfig,
      applicationName: 'awa listener',
      onConnect: (client) => this.listen(client),
      onDisconnect: () => {
        this.hears = false;
        this.onTest?.('');
        this.loop.wake();
        this.handlers.onWake();
      },
    });
  }

  /** Whether notifications come, as far as is known; while they do not, everything has to be looked for. */
  get isWorking(): boolean {
    return this.hears;
  }

  start(): void {
    this.loop.start();
  }

  async stop(): Promise<void> {
    this.isStopped = true;
    this.onTest?.('');
    await this.loop.stop();
    await this.client.close();
  }

  private async listen(client: Client): Promise<void> {
    const { channel } = this.database.schema;
    const leader = leaderChannel(this.database.schema);
    const due = dueChannel(this.database.schema);
    client.on('notification', ({ channel: from, payload = '' }) => {
      if (from === channel) {
        const [queue, priority = '0'] = payload.split('\n');
        return this.handlers.onWake(queue, Number(priority));
      }
      if (from === this.testChannel) return this.onTest?.(payload);
      if (from === due) return this.handlers.onDueSoon();
      if (from === leader) return this.handlers.onLeaderGone();
      const [jobId = '', runLease] = payload.split(':');
      this.handlers.onCancel(jobId, Number(runLease));
    });
    await client.query(`LISTEN ${this.testChannel}`);
    // Behind a pooler only what hurts nobody, until it is known to work: the session that listens may be somebody else's next.
    this.isSubscribed = !this.client.isPooled;
    if (this.isSubscribed) await this.subscribe(client);
  }

  private async subscribe(client: Client): Promise<void> {
    const { schema } = this.database;
    const channels = [schema.channel, `${schema.channel}_cancel`, dueChannel(schema), leaderChannel(schema)];
    await client.query(channels.map((channel) => `LISTEN ${channel}`).join(';'));
    this.handlers.onWake();
  }

  private async turn(): Promise<number> {
    try {
      const client = await this.client.connect();
      const heard = await this.test();
      // A test that is cut short says nothing.
      if (this.isStopped) return 0;
      if (heard && !this.isSubscribed) {
        await this.subscribe(client);
        this.isSubscribed = true;
      }
      // The connection is dead, and about to be replaced, or it is notifications that do not work.
      if (!heard) await this.probe(client);
      this.hears = heard;
      this.tell(heard);
    } catch (error) {
      this.hears = false;
      throw error;
    }
    const { testMs, retestMs } = this.timing;
    return this.hears ? testMs : retestMs * (1 + Math.random() / 2);
  }

  /**
   * Whether a notification arrives that another connection has sent. Nothing is sent on this one meanwhile: behind a pooler the
   * notification might come with the answer, and only then.
   */
  private async test(): Promise<boolean> {
    const nonce = randomBytes(8).toString('hex');
    let timer: NodeJS.Timeout | undefined;
    const heard = new Promise<boolean>((resolve) => {
      this.onTest = (payload) => {
        if (payload === nonce || payload === '') resolve(payload === nonce);
      };
      timer = setTimeout(() => resolve(false), this.timing.timeoutMs);
    });
    try {
      await notify(this.sender, this.database.schema, this.testChannel, nonce);
      return await heard;
    } finally {
      clearTimeout(timer);
      this.onTest = undefined;
    }
  }

  private async probe(client: Client): Promise<void> {
    const watchdog = setTimeout(() => this.client.discard(client), this.timing.answerMs);
    try {
      await client.query('SELECT 1');
    } finally {
      clearTimeout(watchdog);
    }
  }

  /** One line when it changes. */
  private tell(heard: boolean): void {
    if (heard && this.told === false) {
      this.logger.log('notifications come');
      this.handlers.onWake();
    }
    if (!heard && this.told !== false) {
      const why = this.client.isPooled
        ? 'the connection goes through a pooler that does not pass them on (give AwaModule the option "directUrl")'
        : 'one that was sent to this process did not arrive';
      this.logger.warn(`notifications do not come: ${why}. New jobs are found by polling.`);
      this.handlers.onWake();
    }
    this.told = heard;
  }
}
