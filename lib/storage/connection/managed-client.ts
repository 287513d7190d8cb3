import { Client, type ClientConfig } from 'pg';
import { DatabaseUnavailableError } from '../../errors/index.js';

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

/**
 * What a role or database may have set for requests of its application must not reach work that has its own limits: a
 * time-out would cut off a rescue each time, and under another isolation level nothing could be claimed.
 */
const SESSION_SETTINGS = `SET default_transaction_isolation = 'read committed'; SET statement_timeout = 0; SET lock_timeout = 0;
  SET idle_in_transaction_session_timeout = 0; SET idle_session_timeout = 0; SET default_transaction_read_only = off`;

/** The server gives up, in milliseconds, on sending to a process that does not read: it may hold a lock meanwhile. */
const SEND_TIMEOUT = `SET tcp_user_timeout = 10000`;

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
    const client = new Client({
      ...config,
      ...(pipeline ? { pipeline } : {}),
      application_name: applicationName,
      connectionTimeoutMillis: connectTimeoutMs,
      keepAlive: true,
    });
    // Unheard, either event would take the process down or leave a dead connection in use.
    client.on('error', (error) => this.lost(client, error));
    client.on('end', () => this.lost(client, new Error('the connection was closed')));
    // connectionTimeoutMillis ends with the handshake; a server may fall silent after it.
    const watchdog = setTimeout(() => this.discard(client), connectTimeoutMs);
    try {
      await client.connect();
      await client.query(SESSION_SETTINGS);
      // Not every platform has it.
      await client.query(SEND_TIMEOUT).catch(() => undefined);
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
