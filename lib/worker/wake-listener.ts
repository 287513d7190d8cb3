import type { Client } from 'pg';
import type { Database } from '../storage/connection/database.js';
import { ManagedClient } from '../storage/connection/managed-client.js';
import { SupervisedLoop } from './supervised-loop.js';

/** How often the connection is used, in milliseconds, so that one that is dead without a word is found. */
const PROBE_INTERVAL_MS = 30_000;

/**
 * Hears of new work by LISTEN on a connection of its own. Only a shortcut: whoever listens polls as well, so a
 * notification that is lost with a connection costs time, not jobs.
 */
export class WakeListener {
  private readonly loop = new SupervisedLoop('listener', () => this.probe());
  private readonly client: ManagedClient;
  private hears = false;

  constructor(
    private readonly database: Database,
    /** Called with the queue; without one after a reconnect, when anything may have been missed. */
    private readonly onWake: (queue?: string) => void,
    /** Called with the attempt of a job that was cancelled while it ran. */
    private readonly onCancel: (jobId: string, runLease: number) => void,
  ) {
    this.client = new ManagedClient({
      config: database.clientConfig,
      applicationName: 'awa listener',
      onConnect: (client) => this.listen(client),
      onDisconnect: () => {
        this.hears = false;
        this.loop.wake();
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
    await this.loop.stop();
    await this.client.close();
  }

  private async listen(client: Client): Promise<void> {
    const { channel } = this.database.schema;
    client.on('notification', ({ channel: from, payload = '' }) => {
      if (from === channel) return this.onWake(payload);
      const [jobId = '', runLease] = payload.split(':');
      this.onCancel(jobId, Number(runLease));
    });
    await client.query(`LISTEN ${channel}; LISTEN ${channel}_cancel`);
    this.hears = true;
    this.onWake();
  }

  private async probe(): Promise<number> {
    const client = await this.client.connect();
    const watchdog = setTimeout(() => this.client.discard(client), 10_000);
    try {
      await client.query('SELECT 1');
    } finally {
      clearTimeout(watchdog);
    }
    return PROBE_INTERVAL_MS;
  }
}
