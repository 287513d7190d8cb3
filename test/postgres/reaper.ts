import { spawn } from 'node:child_process';
import { Socket } from 'node:net';

import type { Cluster } from './lifecycle.js';
import { cleanEnvironment, spawnIdentity } from './run.js';

export interface Reaper {
  /** The server was stopped in the regular way: go without doing anything. */
  release(): void;
}

/*
 * `read` returns when the pipe closes, and that is when our process is gone. A start may be under way at that
 * moment, so "no server there" is believed only after a few looks.
 */
const SCRIPT = `
  read -r _
  for attempt in 1 2 3 4 5 6; do
    "$1" stop -s -m immediate -w -D "$2" </dev/null && break
    sleep 0.5
  done
  rm -rf -- "$3"
`;

/**
 * Removes a temporary server once our process has ended, however it ends: Ctrl-C and even SIGKILL leave
 * neither a server nor its 40 MB behind. It waits in a session of its own, so that what ends us does not end it.
 *
 * It acts when the process is gone, not on the signal: an application that drains during its shutdown keeps
 * its database until the last query.
 *
 * @param root what to remove: the data directory or the folder made for it.
 */
export function reapAfterExit(cluster: Cluster, root: string): Reaper {
  if (process.platform === 'win32') return { release: () => undefined };
  const child = spawn('/bin/sh', ['-c', SCRIPT, 'reaper', cluster.binaries.pgCtl, cluster.dataDir, root], {
    cwd: '/',
    detached: true,
    env: cleanEnvironment(),
    stdio: ['pipe', 'ignore', 'ignore'],
    ...spawnIdentity(cluster.user),
  });
  // A failed spawn leaves us without this safety net, which is no reason not to start.
  child.on('error', () => undefined);
  child.stdin.on('error', () => undefined);
  // Neither the child nor the pipe may keep our event loop alive.
  child.unref();
  if (child.stdin instanceof Socket) child.stdin.unref();
  return {
    release: () => {
      child.kill('SIGKILL');
    },
  };
}
