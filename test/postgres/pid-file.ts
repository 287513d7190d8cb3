import { readFile, readlink, realpath, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { ignoreCode, isErrno } from './hydrate-links.js';
import { PostgresLaunchError } from './launch-error.js';

/** What `postmaster.pid` says about the server in a data directory. */
export interface Postmaster {
  readonly pid: number;
  readonly port: number;
  /** False while it starts up, recovers or shuts down. */
  readonly ready: boolean;
}

/** The server that runs in this data directory now, or `undefined`, also when it died and left its file. */
export async function findPostmaster(dataDir: string): Promise<Postmaster | undefined> {
  const recorded = await readPidFile(dataDir);
  if (recorded === undefined) return undefined;
  return (await isPostmasterOf(recorded.pid, dataDir)) ? recorded : undefined;
}

/**
 * Removes a `postmaster.pid` that Postgres itself would take for a running server's: its process id is in use
 * again by some other program, or belongs to a killed server that nobody has reaped yet. Both are everyday
 * in containers, where few ids are in use and process 1 is not always an init.
 *
 * A file whose process is gone altogether is left to Postgres, which replaces it under its own interlock.
 */
export async function removeMisleadingPidFile(dataDir: string): Promise<void> {
  const recorded = await readPidFile(dataDir);
  if (recorded === undefined || !isPidInUse(recorded.pid)) return;
  if (await isPostmasterOf(recorded.pid, dataDir)) return;
  // Another launcher may have replaced it with a live server's in the meantime.
  if ((await readPidFile(dataDir))?.pid === recorded.pid) await rm(pidFile(dataDir), { force: true });
}

function pidFile(dataDir: string): string {
  return join(dataDir, 'postmaster.pid');
}

async function readPidFile(dataDir: string): Promise<Postmaster | undefined> {
  const text = await readFile(pidFile(dataDir), 'utf8').catch((error: unknown) => {
    if (isErrno(error) && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) return undefined;
    throw new PostgresLaunchError(
      'DATA_DIR_UNUSABLE',
      `${dataDir} cannot be read by this OS user. Was it created by root? Use another directory, or be root.`,
      String(error),
    );
  });
  if (text === undefined) return undefined;
  // Lines: pid, data directory, start time, port, socket directory, listen address, shared memory, status.
  const lines = text.split('\n');
  const pid = Math.abs(Number(lines[0]));
  if (!Number.isInteger(pid) || pid === 0) return undefined;
  return { pid, port: Number(lines[3] ?? 0), ready: lines[7]?.trim() === 'ready' };
}

async function isPostmasterOf(pid: number, dataDir: string): Promise<boolean> {
  if (!isPidInUse(pid)) return false;
  if (process.platform !== 'linux') return true;
  const status = await readFile(`/proc/${pid}/stat`, 'utf8').catch(ignoreCode('ENOENT', 'ESRCH'));
  if (status === undefined) return false;
  // The state follows the program name, which may itself contain ") ": Z is dead but not yet reaped.
  if (/^[ZX]/.test(status.slice(status.lastIndexOf(')') + 2))) return false;
  // The working directory of a postmaster is its data directory: tells it from whoever reuses its id.
  const cwd = await readlink(`/proc/${pid}/cwd`).catch(ignoreCode('ENOENT', 'ESRCH', 'EACCES', 'EPERM'));
  return cwd === undefined || cwd === (await realpath(dataDir));
}

function isPidInUse(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return isErrno(error) && error.code === 'EPERM';
  }
}
