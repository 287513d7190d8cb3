import { access, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { Client } from 'pg';
import { describe, expect, it, vi } from 'vitest';

import { noProcessesIn, useLauncherScratch } from '../support/launcher-scratch.js';
import { processesIn } from '../support/processes.js';
import { until } from '../support/signals.js';
import { findPostmaster } from './pid-file.js';
import { resolveDatabase } from './resolve-database.js';
import { findPostgres, startPostgres } from './server.js';

const FAST = { fsync: 'off', shared_buffers: '16MB' };
const isRoot = process.getuid?.() === 0;

async function query(url: string, sql: string): Promise<unknown> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    const { rows } = await client.query<Record<string, unknown>>(sql);
    return Object.values(rows[0] ?? {})[0];
  } finally {
    await client.end();
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

async function postmasterPid(dataDir: string): Promise<number> {
  const found = await findPostmaster(dataDir);
  if (found === undefined) throw new Error(`No server runs in ${dataDir}.`);
  return found.pid;
}

describe('startPostgres', () => {
  const scratch = useLauncherScratch();

  it('starts a server, answers queries, and removes a temporary one on stop', async () => {
    const server = await startPostgres({ temporary: true, settings: { ...FAST, max_connections: '7' } });

    expect(server.attached).toBe(false);
    expect(server.dataDir.startsWith(scratch.path)).toBe(true);
    expect(await query(server.url, 'SHOW server_version')).toContain(server.version);
    expect(await query(server.url, 'SHOW server_encoding')).toBe('UTF8');
    expect(await query(server.url, 'SHOW max_connections')).toBe('7');
    expect(await query(server.url, 'SHOW listen_addresses')).toBe('127.0.0.1');
    expect(await query(server.url, 'SHOW unix_socket_directories')).toBe('');

    await server.stop();
    expect(await exists(server.dataDir)).toBe(false);
    await server.stop();
  });

  it('keeps the data of a directory from one start to the next', async () => {
    const dataDir = join(scratch.path, 'kept');
    const first = await startPostgres({ dataDir, settings: FAST });
    await query(first.url, 'CREATE TABLE kept AS SELECT 42 AS answer');
    await first.stop();

    const second = await startPostgres({ dataDir, settings: FAST });
    expect(second.attached).toBe(false);
    expect(await query(second.url, 'SELECT answer FROM kept')).toBe(42);
    await second.stop();
  });

  it('attaches to the server that runs in the directory', async () => {
    const dataDir = join(scratch.path, 'shared');
    expect(await findPostgres({ dataDir })).toBeUndefined();
    const first = await startPostgres({ dataDir, settings: FAST });
    const second = await startPostgres({ dataDir });

    expect(second).toMatchObject({ attached: true, url: first.url });
    expect(await findPostgres({ dataDir })).toMatchObject({ attached: true, url: first.url });
    await second.stop();
    expect(await findPostgres({ dataDir })).toBeUndefined();
    await first.stop();
  });

  it('starts one server when two race for a new directory', async () => {
    const dataDir = join(scratch.path, 'raced');
    const options = { dataDir, settings: FAST };
    const [one, other] = await Promise.all([startPostgres(options), startPostgres(options)]);

    expect(one.url).toBe(other.url);
    expect(one.attached).not.toBe(other.attached);
    expect(await query(one.url, 'SELECT 1')).toBe(1);
    await one.stop();
  });

  it.each(['fast', 'immediate'] as const)(
    'restarts (%s) on the same port with its settings',
    async (mode) => {
      const server = await startPostgres({ temporary: true, settings: { ...FAST, max_connections: '7' } });
      await query(server.url, 'CREATE TABLE kept AS SELECT 42 AS answer');
      const before = await postmasterPid(server.dataDir);

      await server.restart(mode);

      expect(await postmasterPid(server.dataDir)).not.toBe(before);
      expect(await query(server.url, 'SELECT answer FROM kept')).toBe(42);
      expect(await query(server.url, 'SHOW max_connections')).toBe('7');
      await server.stop();
    },
  );

  it('recovers when the server was killed and left its pid file', async () => {
    const dataDir = join(scratch.path, 'killed');
    const killed = await startPostgres({ dataDir, settings: FAST });
    await query(killed.url, 'CREATE TABLE kept AS SELECT 42 AS answer');
    process.kill(await postmasterPid(dataDir), 'SIGKILL');
    await until(async () => (await findPostmaster(dataDir)) === undefined, { what: 'the end of the server' });
    expect(await exists(join(dataDir, 'postmaster.pid'))).toBe(true);

    // Its children may still be on their way out and hold its shared memory; a start has to sit that out.
    const server = await startPostgres({ dataDir, settings: FAST });
    expect(await query(server.url, 'SELECT answer FROM kept')).toBe(42);
    await server.stop();
  });

  it('is not misled by a pid file whose process id somebody else uses now', async () => {
    const dataDir = join(scratch.path, 'reused');
    const server = await startPostgres({ dataDir, settings: FAST });
    const pidFile = join(dataDir, 'postmaster.pid');
    const lines = (await readFile(pidFile, 'utf8')).split('\n');
    await server.stop();
    await writeFile(pidFile, [String(process.pid), ...lines.slice(1)].join('\n'));

    expect(await findPostgres({ dataDir })).toBeUndefined();
    const again = await startPostgres({ dataDir, settings: FAST });
    expect(await query(again.url, 'SELECT 1')).toBe(1);
    await again.stop();
  });

  it('reports why the server does not start, and leaves no temporary data', async () => {
    const settings = { shared_buffers: 'plenty' };
    await expect(startPostgres({ temporary: true, settings })).rejects.toMatchObject({
      code: 'START_FAILED',
      message: expect.stringContaining('invalid value for parameter "shared_buffers": "plenty"'),
    });
  });

  it('says so when the directory belongs to another version', async () => {
    const dataDir = join(scratch.path, 'old');
    const server = await startPostgres({ dataDir, settings: FAST });
    await server.stop();
    await writeFile(join(dataDir, 'PG_VERSION'), '9\n');
    await expect(startPostgres({ dataDir })).rejects.toMatchObject({
      code: 'DATA_DIR_UNUSABLE',
      message: expect.stringContaining('was created by PostgreSQL 9'),
    });
  });

  it.runIf(isRoot)('does not run the server as root', async () => {
    const server = await startPostgres({ temporary: true, settings: FAST });
    const processes = await processesIn(server.dataDir);
    expect(processes.length).toBeGreaterThan(3);
    expect(processes.filter(({ uid }) => uid === 0)).toEqual([]);
    await server.stop();
    await noProcessesIn(server.dataDir);
  });
});

describe('resolveDatabase', () => {
  const scratch = useLauncherScratch();

  it('starts nothing if DATABASE_URL names a database', async () => {
    const dataDir = join(scratch.path, 'unused');
    vi.stubEnv('DATABASE_URL', 'postgres://somewhere/else');
    const database = await resolveDatabase({ dataDir });
    expect(database.url).toBe('postgres://somewhere/else');
    expect(await exists(dataDir)).toBe(false);
    await database.stop();
  });

  it('starts a server otherwise, and stops only what it started', async () => {
    const options = { dataDir: join(scratch.path, 'app'), settings: FAST };
    const first = await resolveDatabase(options);
    const second = await resolveDatabase(options);
    await second.stop();
    expect(await query(first.url, 'SELECT 1')).toBe(1);
    await first.stop();
    expect(await findPostgres(options)).toBeUndefined();
    await rm(options.dataDir, { recursive: true });
  });
});
