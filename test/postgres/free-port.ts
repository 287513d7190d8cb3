import { createServer } from 'node:net';

/**
 * A TCP port of 127.0.0.1 that is free now. Postgres cannot pick one itself (`port = 0` is refused), so
 * another program can take it before Postgres does; the caller tries again with the next.
 */
export async function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen({ host: '127.0.0.1', port: 0 }, () => {
      const address = probe.address();
      probe.close(() => {
        if (address === null || typeof address === 'string') reject(new Error('No TCP port was assigned.'));
        else resolve(address.port);
      });
    });
  });
}
