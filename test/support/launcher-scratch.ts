import { chmod, mkdtemp, readdir, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, vi } from 'vitest';

import { processesIn } from './processes.js';
import { until } from './signals.js';

export interface LauncherScratch {
  /** This test's directory, which is also the temporary directory of the launcher. */
  readonly path: string;
}

/**
 * Gives each test of the launcher a directory to work in, and fails a test that leaves a server process or a
 * half-made directory behind.
 */
export function useLauncherScratch(): LauncherScratch {
  const scratch = { path: '' };

  beforeEach(async () => {
    scratch.path = await realpath(await mkdtemp(join(tmpdir(), 'launcher-spec-')));
    // The mode of /tmp. Run by root, the server belongs to another user, who has to get in and clean up.
    await chmod(scratch.path, 0o1777);
    vi.stubEnv('TMPDIR', scratch.path);
    vi.stubEnv('DATABASE_URL', undefined);
    vi.stubEnv('POSTGRES_BIN', process.env['TEST_POSTGRES_BIN']);
  });

  afterEach(async () => {
    vi.unstubAllEnvs();
    const left = await processesIn(scratch.path);
    for (const { pid } of left) process.kill(pid, 'SIGKILL');
    await noProcessesIn(scratch.path);
    const files = await readdir(scratch.path);
    await rm(scratch.path, { recursive: true, force: true });
    expect(left, 'server processes left over').toEqual([]);
    expect(files.filter(isLeftover), 'directories left over').toEqual([]);
  });

  return scratch;
}

export async function noProcessesIn(directory: string): Promise<void> {
  const isEmpty = async () => (await processesIn(directory)).length === 0;
  await until(isEmpty, { what: `the end of all servers below ${directory}` });
}

/** An unfinished initdb, an unfinished copy of binaries, or the data of a temporary server. */
function isLeftover(name: string): boolean {
  return /-initdb-|^nestjs-awa-postgres-.*\.[^.]{6}$|^nestjs-awa-[^-]{6}$/.test(name);
}
