import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { LoggerService } from '@nestjs/common';
import { AwaModule, defineJob, QueueService } from 'nestjs-awa';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { freePort } from '../postgres/free-port.js';
import { type PostgresServer, startPostgres } from '../postgres/server.js';
import { jobCounts } from '../support/job-counts.js';
import { administer } from '../support/database-admin.js';
import { deferred } from '../support/signals.js';
import { handlerOf, jobIn } from '../support/test-app.js';
import { useNestApps } from './nest-apps.js';

const Work = defineJob('work');

/** The user postgres is let in as it is; everybody else needs a password. */
const RULES = `host all postgres 127.0.0.1/32 trust
host all all 127.0.0.1/32 scram-sha-256
`;

describe('boot', () => {
  let server: PostgresServer | undefined;
  let port: number;

  beforeEach(async () => {
    port = await freePort();
  });

  afterEach(async () => {
    await server?.stop('immediate');
    server = undefined;
  });

  // After the server's, so that applications are closed before it stops.
  const apps = useNestApps();

  async function startServer(): Promise<PostgresServer> {
    const binDir = process.env['TEST_POSTGRES_BIN'];
    server = await startPostgres({ temporary: true, port, settings: { fsync: 'off' }, binDir });
    return server;
  }

  async function startApp(user: string, warn: (message: unknown) => void): Promise<QueueService> {
    const url = `postgres://${user}@127.0.0.1:${port}/postgres`;
    const logger: LoggerService = { log: () => undefined, error: () => undefined, warn };
    const imports = [AwaModule.forRoot({ url, migrate: 'run' })];
    const app = await apps.start({ imports, providers: [handlerOf(Work, () => undefined)] }, logger);
    return app.get(QueueService);
  }

  it('waits for a server that is started later', async () => {
    const waiting = deferred<string>();
    const starting = startApp('postgres', (message) => waiting.resolve(String(message)));
    expect(await waiting.promise).toContain('no database yet');
    await startServer();

    const queue = await starting;
    const { id } = await queue.enqueue(Work, {});
    await jobIn('completed', queue, id);
  });

  it('fails at once with a wrong password', async () => {
    const late = await startServer();
    await administer(late.url, (admin) => admin.query("CREATE ROLE worker SUPERUSER LOGIN PASSWORD 'right'"));
    await writeFile(join(late.dataDir, 'pg_hba.conf'), RULES);
    await late.restart('immediate');
    const warnings: unknown[] = [];
    const warn = (message: unknown) => warnings.push(message);

    const error: unknown = await startApp('worker:wrong', warn).catch((reason: unknown) => reason);

    // invalid_password
    expect(error).toMatchObject({ code: '28P01' });
    expect(warnings).toEqual([]);
    const queue = await startApp('worker:right', warn);
    expect(await jobCounts(queue, 'default')).toMatchObject({ available: 0 });
  });
});
