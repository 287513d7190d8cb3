import { access, constants, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';

import { PostgresLaunchError } from './launch-error.js';
import { run } from './run.js';

export interface OsUser {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/**
 * The OS user to run the server as, or `undefined` for "the user we already are".
 *
 * Postgres refuses to run as root. So root hands over to the owner of the data directory if that is somebody
 * else (it was created by a plain user, and has to stay usable for them), else to `postgres`, else to
 * `nobody`.
 */
export async function serverUser(dataDir: string | undefined): Promise<OsUser | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const owner = dataDir === undefined ? undefined : await ownerOf(dataDir);
  if (owner !== undefined && owner.uid !== 0) return owner;
  const user = (await lookUp('postgres')) ?? (await lookUp('nobody'));
  if (user === undefined) {
    throw new PostgresLaunchError(
      'NO_OS_USER',
      'Postgres does not run as root, and this system has neither a "postgres" nor a "nobody" user. ' +
        'Create one (useradd --system postgres), or run this as a plain user.',
    );
  }
  return user;
}

/** Whether the user can pass through and list this directory, all its parents included. */
export async function canEnter(user: OsUser | undefined, directory: string): Promise<boolean> {
  if (user === undefined) {
    return access(directory, constants.R_OK | constants.X_OK).then(
      () => true,
      () => false,
    );
  }
  // Asking the kernel covers modes, groups, ACLs and mount options alike; re-computing mode bits would not.
  const { code } = await run('/bin/sh', ['-c', 'cd "$1" && test -r .', 'sh', directory], { user });
  return code === 0;
}

/** A directory for temporary files that the user can reach: TMPDIR may well be private to root. */
export async function reachableTempDir(user: OsUser | undefined): Promise<string> {
  for (const candidate of [tmpdir(), '/tmp', '/var/tmp']) {
    if (await canEnter(user, candidate)) return candidate;
  }
  throw new PostgresLaunchError(
    'DATA_DIR_UNUSABLE',
    `The OS user "${user?.name ?? 'running this'}" can use none of ${tmpdir()}, /tmp, /var/tmp. Set TMPDIR.`,
  );
}

async function ownerOf(path: string): Promise<OsUser | undefined> {
  return stat(path).then(
    ({ uid, gid }) => ({ name: `uid ${uid}`, uid, gid }),
    () => undefined,
  );
}

async function lookUp(name: string): Promise<OsUser | undefined> {
  // `id` rather than /etc/passwd: it also knows users from LDAP and, on macOS, from Open Directory.
  const [uid, gid] = await Promise.all([run('id', ['-u', name]), run('id', ['-g', name])]);
  if (uid.code !== 0 || gid.code !== 0) return undefined;
  return { name, uid: Number(uid.output), gid: Number(gid.output) };
}
