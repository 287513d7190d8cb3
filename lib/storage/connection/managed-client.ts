import type { Client, ClientConfig } from 'pg';
import { DatabaseUnavailableError } from '../../errors/index.js';
import { ownClient } from './own-client.js';
import { prepareOwnSession } from './session.js';

/** How a managed client behaves; all times in milliseconds. */
export interface ManagedClientOptions {
  readonly config: ClientConfig;
  readonly applicationName: string;
  readonly pipeline?: boolean;
  /** Gives up on an attempt to connect and prepare the connection after this long. Default 10,000. */
  readonly connectTimeoutMs?: number;
  /** Prepares each new connection, e.g. LISTEN. A failure closes the connection. */
  readonly onConnect?: (client: Client) => Promise<void>;
  /** The connection is gone; the next use makes a new one. */
  readonly onDisconnect?: (reason: Error) => void;
}

/** How long a close waits for the server's goodbye, in milliseconds. */
const CLOSE_TIMEOUT_MS = 2_000;

/**
 * One connection outside any pool that comes back by itself: user code cannot exhaust it, and a killed backend costs
 * the calls under way, not the service.
 *
 * States: idle (no connection) -> connecting -> open -> idle again when the connection breaks; closed for good by close().
 * connect() enters connecting from idle; whoever calls meanwhile shares the attempt.
 */
export class ManagedClient {
  private current: Promise<Client> | undefined;
  private closed = false;
  private pooled = false;

  constructor(private readonly options: ManagedClientOptions) {}

  /** The open connection, made when there is none. @throws DatabaseUnavailableError */
  connect(): Promise<Client> {
    if (this.closed) return Promise.reject(new DatabaseUnavailableError('use of a closed connection'));
    if (this.current === undefined) {
      const attempt = this.open();
      this.current = attempt;
      attempt.catch(() => this.forget(attempt));
    }
    return this.current;
  }

  /**
   * Whether the connection has no session of its own: a transaction pooler stands between. Nothing that belongs to a session may be
   * used then: settings, prepared statements, advisory locks. Tells of the newest connection.
   */
  get isPooled(): boolean {
    return this.pooled;
  }

  /** Drops the connection at once, e.g. when it does not answer any more. Calls under way are rejected. */
  discard(client: Client): void {
    (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
  }

  /** Ends the connection, after the calls under way. There is no way back. */
  async close(): Promise<void> {
    this.closed = true;
    const client = await this.current?.catch(() => undefined);
    if (client === undefined) return;
    const watchdog = setTimeout(() => this.discard(client), CLOSE_TIMEOUT_MS);
    await client.end().catch(() => undefined);
    clearTimeout(watchdog);
  }

  private async open(): Promise<Client> {
    const { config, applicationName, pipeline, connectTimeoutMs = 10_000, onConnect } = this.options;
    const client = ownClient(
      { ...config, ...(pipeline ? { pipeline } : {}), connectionTimeoutMillis: connectTimeoutMs },
      applicationName,
    );
    // Unheard, either event would take the process down or leave a dead connection in use.
    client.on('error', (error) => this.lost(client, error));
    client.on('end', () => this.lost(client, new Error('the connection was closed')));
    // connectionTimeoutMillis ends with the handshake; a server may fall silent after it.
    const watchdog = setTimeout(() => this.discard(client), connectTimeoutMs);
    try {
      await client.connect();
      this.pooled = !(await prepareOwnSession(client));
      await onConnect?.(client);
      return client;
    } catch (error) {
      this.discard(client);
      throw new DatabaseUnavailableError(`connect (${applicationName})`, { cause: error });
    } finally {
      clearTimeout(watchdog);
    }
  }

  private forget(attempt: Promise<Client>): void {
    if (this.current === attempt) this.current = undefined;
  }

  private lost(client: Client, reason: Error): void {
    const attempt = this.current;
    void attempt?.then(
      (open) => {
        if (open !== client || this.current !== attempt) return;
        this.forget(attempt);
        if (!this.closed) this.options.onDisconnect?.(reason);
      },
      () => undefined,
    );
  }
}
