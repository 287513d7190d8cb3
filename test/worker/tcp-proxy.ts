import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** Stands between an application and Postgres, to lose what the server answers. */
export class TcpProxy {
  private readonly pairs = new Set<readonly [client: Socket, server: Socket]>();
  private holding = false;
  private refusing = false;

  private constructor(
    private readonly server: Server,
    private readonly target: URL,
  ) {
    server.on('connection', (client) => this.pass(client));
  }

  static async open(targetUrl: string): Promise<TcpProxy> {
    const proxy = new TcpProxy(createServer(), new URL(targetUrl));
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

  /** From now on nothing the server says arrives; what the application says does. */
  holdAnswers(): void {
    this.holding = true;
  }

  /** Ends the holding; what was held stays lost. */
  letThrough(): void {
    this.holding = false;
  }

  /** Cuts all connections; what was held is lost. New connections pass, unless they are refused. */
  cut({ refuse = false }: { readonly refuse?: boolean } = {}): void {
    this.holding = false;
    this.refusing = refuse;
    for (const pair of this.pairs) for (const socket of pair) socket.destroy();
  }

  async close(): Promise<void> {
    this.cut({ refuse: true });
    this.server.close();
    await once(this.server, 'close');
  }

  private pass(client: Socket): void {
    if (this.refusing) {
      client.destroy();
      return;
    }
    const server = connect({ host: this.target.hostname, port: Number(this.target.port) });
    const pair = [client, server] as const;
    this.pairs.add(pair);
    client.on('data', (data) => server.write(data));
    server.on('data', (data) => {
      if (!this.holding) client.write(data);
    });
    for (const socket of pair) {
      socket.setNoDelay(true);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        this.pairs.delete(pair);
        for (const each of pair) each.destroy();
      });
    }
  }
}
