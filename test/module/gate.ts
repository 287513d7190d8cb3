import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { afterEach, beforeEach } from 'vitest';

/** What becomes of those who connect: turned away, let through to the database, or left without an answer. */
export type GateState = 'closed' | 'open' | 'silent';

export interface Gate {
  state: GateState;
  /** The database behind it, as seen through it. */
  readonly url: string;
  /** How many have come. */
  readonly visits: number;
  /** How many are there. */
  readonly visitors: number;
}

/** A door before a database, for tests of what happens when that cannot be reached; a new one for each test. */
export function useGate(database: { readonly url: string }): Gate {
  const sockets = new Set<Socket>();
  const gate = { state: 'closed' as GateState, url: '', visits: 0, visitors: 0 };
  const server = createServer((visitor) => {
    gate.visits += 1;
    gate.visitors += 1;
    visitor.once('close', () => (gate.visitors -= 1));
    track(visitor);
    if (gate.state === 'closed') visitor.destroy();
    if (gate.state === 'open') {
      const { hostname, port } = new URL(database.url);
      const target = track(connect(Number(port), hostname));
      visitor.pipe(target).pipe(visitor);
    }
    // A socket that nobody reads from does not notice its end.
    if (gate.state === 'silent') visitor.resume();
  });

  function track(socket: Socket): Socket {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    return socket;
  }

  beforeEach(async () => {
    gate.state = 'closed';
    gate.visits = 0;
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = new URL(database.url);
    url.hostname = '127.0.0.1';
    url.port = String((server.address() as AddressInfo).port);
    gate.url = url.toString();
  });

  afterEach(async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, 'close');
  });

  return gate;
}
