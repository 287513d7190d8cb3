import { open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import type { Binaries } from './binaries.js';
import { freePort } from './free-port.js';
import { ignoreCode } from './hydrate-links.js';
import { PostgresLaunchError } from './launch-error.js';
import type { OsUser } from './os-user.js';
import { findPostmaster, removeMisleadingPidFile } from './pid-file.js';
import { run, type RunResult } from './run.js';

export interface Cluster {
  readonly binaries: Binaries;
  readonly dataDir: string;
  readonly user: OsUser | undefined;
}

export interface Boot {
  readonly port: number;
  /** Another launcher started it at the same time. */
  readonly attached: boolean;
}

export type StopMode = 'smart' | 'fast' | 'immediate';

/** Crash recovery of a large directory counts towards this. */
const START_TIMEOUT_S = 120;
const STOP_TIMEOUT_S = 60;
/** How long the processes of a killed server may take to notice, and to let go of its shared memory. */
const RELEASE_TIMEOUT_MS = 15_000;
const LOG_TAIL_BYTES = 6000;

/** Waits for the server in the directory to accept connections; `undefined` if there is none. */
export async function awaitRunning(cluster: Cluster): Promise<number | undefined> {
  const deadline = Date.now() + START_TIMEOUT_S * 1000;
  for (;;) {
    const found = await findPostmaster(cluster.dataDir);
    if (found === undefined || found.ready) return found?.port;
    if (Date.now() > deadline) {
      const tail = await logTail(cluster, 0);
      throw new PostgresLaunchError(
        'START_FAILED',
        `${cluster.dataDir}: the server does not get ready.`,
        tail,
      );
    }
    await delay(50);
  }
}

/**
 * Starts the server.
 *
 * @param port if undefined, a free one, and another if it is taken before Postgres gets to it.
 * @throws PostgresLaunchError START_FAILED with the tail of the server log.
 */
export async function boot(cluster: Cluster, port: number | undefined): Promise<Boot> {
  const releaseDeadline = Date.now() + RELEASE_TIMEOUT_MS;
  let portsLeft = 5;
  for (;;) {
    const tried = port ?? (await freePort());
    const offset = await logSize(cluster);
    await removeMisleadingPidFile(cluster.dataDir);
    const waiting = ['-w', '-t', String(START_TIMEOUT_S)];
    const result = await pgCtl(cluster, ['start', ...waiting, '-l', logFile(cluster), '-o', `-p ${tried}`]);
    if (result.code === 0) return { port: tried, attached: false };

    // Another launcher was faster: its server is the one we want.
    const other = await awaitRunning(cluster);
    if (other !== undefined) return { port: other, attached: true };

    const tail = await logTail(cluster, offset);
    if (/pre-existing shared memory block/.test(tail) && Date.now() < releaseDeadline) {
      await delay(200);
    } else if (/Address already in use/.test(tail) && port === undefined && --portsLeft > 0) {
      continue;
    } else {
      const detail = `${result.output}\n${tail}`;
      throw new PostgresLaunchError(
        'START_FAILED',
        `No server could be started in ${cluster.dataDir}.`,
        detail,
      );
    }
  }
}

/** Stops the server; nothing to do if there is none. */
export async function halt(cluster: Cluster, mode: StopMode): Promise<void> {
  if ((await findPostmaster(cluster.dataDir)) === undefined) return;
  const { code, output } = await pgCtl(cluster, ['stop', '-m', mode, '-w', '-t', String(STOP_TIMEOUT_S)]);
  // It may have ended by itself, or at another launcher's request, before pg_ctl could signal it.
  if (code === 0 || (await findPostmaster(cluster.dataDir)) === undefined) return;
  const detail = `${output}\n${await logTail(cluster, 0)}`;
  throw new PostgresLaunchError('STOP_FAILED', `The server in ${cluster.dataDir} does not stop.`, detail);
}

/**
 * pg_ctl makes the server the leader of a session of its own. It also passes a Ctrl-C it receives while
 * waiting on to the server, therefore it too runs out of the terminal's reach.
 */
async function pgCtl(cluster: Cluster, args: readonly string[]): Promise<RunResult> {
  const all = [...args, '-s', '-D', cluster.dataDir];
  return run(cluster.binaries.pgCtl, all, { user: cluster.user, detached: true });
}

function logFile(cluster: Cluster): string {
  return join(cluster.dataDir, 'server.log');
}

async function logSize(cluster: Cluster): Promise<number> {
  return (await stat(logFile(cluster)).catch(ignoreCode('ENOENT')))?.size ?? 0;
}

/** The end of the server log, but nothing from before `since`: earlier failures would mislead. */
async function logTail(cluster: Cluster, since: number): Promise<string> {
  const file = await open(logFile(cluster), 'r').catch(ignoreCode('ENOENT'));
  if (file === undefined) return '';
  try {
    const { size } = await file.stat();
    const start = Math.max(since, size - LOG_TAIL_BYTES);
    const { buffer, bytesRead } = await file.read(
      Buffer.alloc(Math.max(0, size - start)),
      0,
      undefined,
      start,
    );
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await file.close();
  }
}
