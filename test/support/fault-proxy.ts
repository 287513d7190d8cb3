import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { type Exchange, ProxiedConnection } from './proxied-connection.js';

interface LostAnswer {
  /** How the name of the statement ends. */
  readonly statement: string;
  /** Answers with fewer rows are passed on. */
  readonly minRows: number;
  readonly onLost: () => void;
}

/** Stands between a process, or an application of a test, and Postgres, and is the network that fails. */
export class FaultProxy {
  private readonly connections = new Set<ProxiedConnection>();
  private readonly watchers = new Set<(statement: string) => void>();
  private losing: LostAnswer | undefined;
  private isRefusing = false;
  private isFrozen = false;
  private isSwallowing = false;

  private constructor(
    private readonly server: Server,
    private target: URL,
  ) {
    server.on('connection', (client) => this.accept(client));
  }

  static async open(targetUrl: string): Promise<FaultProxy> {
    const proxy = new FaultProxy(createServer(), new URL(targetUrl));
    proxy.server.listen(0, '127.0.0.1');
    await once(proxy.server, 'listening');
    return proxy;
  }

  /** The same database, by way of the proxy. */
  get url(): string {
    const url = new URL(this.target);
    url.host = `127.0.0.1:${(this.server.address() as AddressInfo).port}`;
    return url.toString();
  }

  /** From now on it leads to this server; connections that there are stay where they lead. */
  redirect(targetUrl: string): void {
    const { hostname, port } = new URL(targetUrl);
    const target = new URL(this.target);
    target.hostname = hostname;
    target.port = port;
    this.target = target;
  }

  /** Cuts all connections, and nothing is swallowed any more. New ones pass, unless they are refused until the next cut. */
  cut({ refuse = false }: { readonly refuse?: boolean } = {}): void {
    this.isRefusing = refuse;
    this.isSwallowing = false;
    for (const connection of this.connections) connection.cut();
  }

  /** From now on nothing the server says arrives, on no connection; what the process says does. */
  swallowAnswers(): void {
    this.isSwallowing = true;
  }

  /** Answers arrive again; what was swallowed stays lost. */
  letThrough(): void {
    this.isSwallowing = false;
  }

  /** Nothing passes any more, on old and new connections, and nobody is told: a cable is pulled. */
  freeze(): void {
    this.isFrozen = true;
    for (const connection of this.connections) connection.freeze();
  }

  /** The cable is back; what was sent meanwhile arrives. */
  thaw(): void {
    this.isFrozen = false;
    for (const connection of this.connections) connection.thaw();
  }

  /**
   * Cuts the connection of the next statement of this name, after the server has committed it and before anything of its answer
   * has arrived.
   *
   * @param minRows waits for an answer of so many rows at least: a claim that took nothing is not worth it
   * @returns resolves when it has happened.
   */
  loseAnswer(statement: string, { minRows = 0 }: { readonly minRows?: number } = {}): Promise<void> {
    return new Promise((resolve) => {
      this.losing = { statement, minRows, onLost: resolve };
    });
  }

  /** Nothing is lost any more; a loss that has not happened never will. */
  loseNothing(): void {
    this.losing = undefined;
  }

  /** Resolves when the process sends a statement whose name ends like this. */
  sent(suffix: string): Promise<void> {
    return new Promise((resolve) => {
      const watcher = (statement: string) => {
        if (!statement.endsWith(suffix)) return;
        this.watchers.delete(watcher);
        resolve();
      };
      this.watchers.add(watcher);
    });
  }

  async close(): Promise<void> {
    this.cut({ refuse: true });
    this.server.close();
    await once(this.server, 'close');
  }

  private accept(client: Socket): void {
    if (this.isRefusing) {
      client.destroy();
      return;
    }
    const target = { host: this.target.hostname, port: Number(this.target.port) };
    const connection = new ProxiedConnection(client, target, {
      onStatement: (_, statement) => {
        for (const watcher of this.watchers) watcher(statement);
      },
      isAwaited: (_, statement) => this.losing !== undefined && statement.endsWith(this.losing.statement),
      isSwallowed: () => this.isSwallowing,
      loses: (_, exchange) => this.loses(exchange),
      onEnd: (ended) => this.connections.delete(ended),
    });
    this.connections.add(connection);
    if (this.isFrozen) connection.freeze();
  }

  private loses({ statement, rows, failed }: Exchange): boolean {
    const { losing } = this;
    if (losing === undefined || failed || rows < losing.minRows || !statement.endsWith(losing.statement))
      return false;
    this.losing = undefined;
    losing.onLost();
    return true;
  }
}
