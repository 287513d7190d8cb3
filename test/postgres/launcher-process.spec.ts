import { access } from 'node:fs/promises';
import { join } from 'node:path';

import { Client } from 'pg';
import { beforeEach, describe, expect, it } from 'vitest';

import { compileLauncher, runCli, spawnStarter } from '../support/launcher-program.js';
import { noProcessesIn, useLauncherScratch } from '../support/launcher-scratch.js';
import { processesIn } from '../support/processes.js';
import { until } from '../support/signals.js';
import { findPostgres } from './server.js';

const FAST = { fsync: 'off', shared_buffers: '16MB' };

describe('a process that starts a server', () => {
  const scratch = useLauncherScratch();
  let compiled: string;
  let dataDir: string;

  beforeEach(async () => {
    compiled = join(scratch.path, 'compiled');
    dataDir = join(scratch.path, 'data');
    await compileLauncher(compiled);
  });

  it.each(['SIGINT', 'SIGKILL'] as const)('leaves it alive when its group gets %s', async (signal) => {
    const starter = await spawnStarter(compiled, { dataDir, settings: FAST });
    const client = new Client({ connectionString: starter.url });
    await client.connect();

    await starter.end(signal);

    // The session from before, not just a server that came back.
    expect((await client.query<{ one: number }>('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
    const sessions = (await processesIn(dataDir)).map(({ session }) => session);
    expect(sessions).not.toContain(starter.child.pid);
    await client.end();

    const server = await findPostgres({ dataDir });
    expect(server?.url).toBe(starter.url);
    await server?.stop();
  });

  it.each(['SIGINT', 'SIGKILL'] as const)(
    'takes a temporary one along when it ends by %s',
    async (signal) => {
      const starter = await spawnStarter(compiled, { temporary: true, settings: FAST });
      expect(await processesIn(starter.dataDir)).not.toEqual([]);

      await starter.end(signal);

      await noProcessesIn(starter.dataDir);
      const isRemoved = async () =>
        access(join(starter.dataDir, '..')).then(
          () => false,
          () => true,
        );
      await until(isRemoved, { what: 'the removal of the data' });
    },
  );
});

describe('the command line', () => {
  const scratch = useLauncherScratch();

  it('starts, shows and stops the server', async () => {
    const compiled = join(scratch.path, 'compiled');
    await compileLauncher(compiled);
    const data = ['--data', join(scratch.path, 'data')];

    expect(await runCli(compiled, 'status', ...data)).toMatchObject({ code: 3 });
    expect(await runCli(compiled, 'url', ...data)).toMatchObject({ code: 3, stdout: '' });

    const started = await runCli(compiled, 'start', ...data);
    expect(started).toMatchObject({ code: 0, stderr: '' });
    const url = started.stdout.trim().split('\n').at(-1);
    expect(url).toMatch(/^postgres:\/\/postgres@127\.0\.0\.1:\d+\/postgres$/);

    expect(await runCli(compiled, 'start', ...data)).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('was running already'),
    });
    expect(await runCli(compiled, 'status', ...data)).toMatchObject({
      code: 0,
      stdout: `PostgreSQL is running at ${url}\n`,
    });
    expect(await runCli(compiled, 'url', ...data)).toMatchObject({ code: 0, stdout: `${url}\n` });

    expect(await runCli(compiled, 'stop', ...data)).toMatchObject({ code: 0 });
    expect(await runCli(compiled, 'stop', ...data)).toMatchObject({
      code: 0,
      stdout: 'PostgreSQL was not running.\n',
    });
    expect(await runCli(compiled, 'bounce')).toMatchObject({ code: 2 });
  });
});
