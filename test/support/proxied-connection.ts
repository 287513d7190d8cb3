import { connect, type Socket } from 'node:net';
import { MessageReader, textAt } from './message-reader.js';

/** What a client asked for and the server will end with ReadyForQuery: one statement, or one round of the simple protocol. */
export interface Exchange {
  /** Name of the prepared statement; empty for anything else. */
  readonly statement: string;
  /** Rows that the server has answered. */
  rows: number;
  /** The server has answered with an error. */
  failed: boolean;
}

export interface ConnectionHooks {
  /** A statement is on its way to the server. */
  readonly onStatement: (connection: ProxiedConnection, statement: string) => void;
  /** Whether the answer of this statement is kept back until it is whole. */
  readonly isAwaited: (connection: ProxiedConnection, statement: string) => boolean;
  /** Whether what the server says now is lost, while the connection stays. */
  readonly isSwallowed: () => boolean;
  /** The server has done it (committed, outside of transactions), and nobody has heard of it. True: nobody ever will. */
  readonly loses: (connection: ProxiedConnection, exchange: Exchange) => boolean;
  readonly onEnd: (connection: ProxiedConnection) => void;
}

/**
 * One connection through the proxy. It reads along in both directions, so that it knows which answer belongs to which
 * statement: the protocol answers in the order of the questions, and ends each answer with ReadyForQuery.
 */
export class ProxiedConnection {
  applicationName = '';
  private readonly server: Socket;
  private readonly asked = new MessageReader(true);
  private readonly answered = new MessageReader(false);
  /** In the order of the questions; the first one is the startup. */
  private readonly exchanges: Exchange[] = [{ statement: '', rows: 0, failed: false }];
  private statement = '';
  private kept: Buffer[] = [];
  private isFrozen = false;
  private readonly thawing: (() => void)[] = [];

  constructor(
    private readonly client: Socket,
    target: { readonly host: string; readonly port: number },
    private readonly hooks: ConnectionHooks,
  ) {
    this.server = connect(target);
    for (const socket of [client, this.server]) {
      socket.setNoDelay(true);
      socket.on('error', () => undefined);
      socket.on('close', () => this.cut());
    }
    client.on('data', (bytes: Buffer) => this.whenThawed(() => this.ask(bytes)));
    this.server.on('data', (bytes: Buffer) => this.whenThawed(() => this.answer(bytes)));
  }

  /** The end, for both sides. */
  cut(): void {
    if (!this.client.destroyed) this.client.destroy();
    if (!this.server.destroyed) this.server.destroy();
    this.hooks.onEnd(this);
  }

  /** From now on nothing passes in either direction, and neither side is told. */
  freeze(): void {
    this.isFrozen = true;
  }

  /** What was sent meanwhile arrives, as TCP would deliver it. */
  thaw(): void {
    this.isFrozen = false;
    for (const pass of this.thawing.splice(0)) pass();
  }

  private whenThawed(pass: () => void): void {
    if (this.isFrozen) this.thawing.push(pass);
    else pass();
  }

  private ask(bytes: Buffer): void {
    for (const { type, body } of this.asked.read(bytes)) {
      if (type === '') this.applicationName = applicationNameIn(body);
      // Bind: the portal, then the statement.
      if (type === 'B') this.statement = textAt(body, textAt(body, 0).next).text;
      if (type === 'S' || type === 'Q') {
        const statement = type === 'S' ? this.statement : '';
        this.exchanges.push({ statement, rows: 0, failed: false });
        this.statement = '';
        if (statement !== '') this.hooks.onStatement(this, statement);
      }
    }
    this.server.write(bytes);
  }

  private answer(bytes: Buffer): void {
    this.kept.push(bytes);
    for (const { type } of this.answered.read(bytes)) {
      const exchange = this.exchanges[0];
      if (exchange === undefined) continue;
      if (type === 'D') exchange.rows += 1;
      if (type === 'E') exchange.failed = true;
      if (type !== 'Z') continue;
      this.exchanges.shift();
      if (this.hooks.loses(this, exchange)) {
        this.kept = [];
        this.cut();
        return;
      }
    }
    if (this.hooks.isSwallowed()) this.kept = [];
    // The beginning of an answer is kept back as well: nobody acts on half of one.
    const current = this.exchanges[0];
    if (current !== undefined && this.hooks.isAwaited(this, current.statement)) return;
    for (const chunk of this.kept.splice(0)) this.client.write(chunk);
  }
}

/** The startup message: a version, then pairs of names and values. */
function applicationNameIn(body: Buffer): string {
  for (let offset = 4; offset < body.length;) {
    const name = textAt(body, offset);
    const value = textAt(body, name.next);
    if (name.text === 'application_name') return value.text;
    offset = value.next;
  }
  return '';
}
