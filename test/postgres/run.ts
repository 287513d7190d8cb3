import { spawn } from 'node:child_process';

import type { OsUser } from './os-user.js';

export interface RunOptions {
  /** Drop to this OS user first. Only root can. */
  readonly user?: OsUser | undefined;
  /** Run in a session of its own, out of reach of the terminal's Ctrl-C. */
  readonly detached?: boolean;
}

export interface RunResult {
  /** `null` when the program was ended by a signal. */
  readonly code: number | null;
  /** stdout and stderr, interleaved. */
  readonly output: string;
}

const INHERITED = ['PATH', 'TZ', 'TMPDIR', 'LD_LIBRARY_PATH', 'DYLD_LIBRARY_PATH', 'SystemRoot'];

/**
 * The environment of everything the launcher runs. Short on purpose: the server outlives the process that
 * starts it and must not keep that process's secrets, and a stray PGPORT or PGDATA would redirect it.
 */
export function cleanEnvironment(): NodeJS.ProcessEnv {
  const environment: NodeJS.ProcessEnv = { LC_ALL: 'C' };
  for (const name of INHERITED) {
    if (process.env[name] !== undefined) environment[name] = process.env[name];
  }
  return environment;
}

/** uid and gid in the form `spawn` takes them; nothing for "as ourselves". */
export function spawnIdentity(user: OsUser | undefined): { uid?: number; gid?: number } {
  return user === undefined ? {} : { uid: user.uid, gid: user.gid };
}

/** Runs a program to its end. Rejects only if it cannot be executed at all. */
export async function run(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      // The other user may be barred from our working directory, and initdb refuses to run in one it cannot read.
      cwd: '/',
      detached: options.detached ?? false,
      env: cleanEnvironment(),
      stdio: ['ignore', 'pipe', 'pipe'],
      ...spawnIdentity(options.user),
    });
    let output = '';
    const collect = (chunk: Buffer) => {
      output += chunk.toString();
    };
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, output }));
  });
}
