import { createHash } from 'node:crypto';
import { appendFile, chown, lstat, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';

import { ignoreCode } from './hydrate-links.js';
import { PostgresLaunchError } from './launch-error.js';
import type { Cluster } from './lifecycle.js';
import { canEnter, reachableTempDir, type OsUser } from './os-user.js';
import { run } from './run.js';

/** The launcher's part of the configuration, rewritten at each start and included by postgresql.conf. */
const SETTINGS_FILE = 'launcher.conf';

/**
 * Where the data really goes. The requested path if the server's user can reach it, otherwise a fixed stand-in
 * below the temporary directory: the same request always leads to the same place, so `stop` finds the server.
 */
export async function locateDataDir(requested: string, user: OsUser | undefined): Promise<string> {
  const path = resolve(requested);
  await mkdir(dirname(path), { recursive: true });
  if (user === undefined || (await canEnter(user, dirname(path)))) return path;

  const key = createHash('sha256').update(path).digest('hex').slice(0, 12);
  const standIn = join(await reachableTempDir(user), `nestjs-awa-data-${key}`);
  const existing = await lstat(standIn).catch(ignoreCode('ENOENT'));
  // The name can be guessed and the parent is writable for everybody: no data planted by somebody else.
  if (existing !== undefined && existing.uid !== user.uid) {
    throw new PostgresLaunchError(
      'DATA_DIR_UNUSABLE',
      `${standIn} is not owned by "${user.name}". Remove it.`,
    );
  }
  return standIn;
}

/** An empty directory of the server's user for a server that is thrown away. */
export async function createTemporaryRoot(user: OsUser | undefined): Promise<string> {
  const root = await mkdtemp(join(await reachableTempDir(user), 'nestjs-awa-'));
  if (user !== undefined) await chown(root, user.uid, user.gid);
  return root;
}

/**
 * Makes sure there is a database cluster, running `initdb` if there is none.
 *
 * `initdb` works in a folder beside the data directory, which is renamed when it is whole. So a run that was
 * interrupted halfway leaves nothing that looks like a data directory, and of two that race one wins.
 */
export async function ensureCluster(cluster: Cluster): Promise<void> {
  if (await isInitialised(cluster)) return;

  const { dataDir, user, binaries } = cluster;
  const draft = await mkdtemp(join(dirname(dataDir), `.${basename(dataDir)}-initdb-`));
  try {
    if (user !== undefined) await chown(draft, user.uid, user.gid);
    const args = ['--username=postgres', '--auth=trust', '--encoding=UTF8', '--locale=C', '--no-sync'];
    const { code, output } = await run(binaries.initdb, [...args, '-D', draft], { user });
    if (code !== 0) throw new PostgresLaunchError('INITDB_FAILED', `${binaries.initdb} failed.`, output);
    await appendFile(join(draft, 'postgresql.conf'), `\ninclude_if_exists = '${SETTINGS_FILE}'\n`);
    await rename(draft, dataDir);
  } catch (error) {
    if (!(await isInitialised(cluster))) throw error;
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

/** Writes the settings the server reads at its next start. */
export async function writeSettings(
  { dataDir, user }: Cluster,
  settings: Readonly<Record<string, string>>,
): Promise<void> {
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${quote(value)}\n`);
  const file = join(dataDir, SETTINGS_FILE);
  // Replaced in one step: a server that is just starting never sees half of it.
  const draft = `${file}.${process.pid}`;
  await writeFile(draft, lines.join(''), { mode: 0o600 });
  if (user !== undefined) await chown(draft, user.uid, user.gid);
  await rename(draft, file);
}

function quote(value: string): string {
  return `'${value.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`;
}

async function isInitialised({ dataDir, binaries }: Cluster): Promise<boolean> {
  const found = await readFile(join(dataDir, 'PG_VERSION'), 'utf8').catch(ignoreCode('ENOENT'));
  if (found === undefined) return false;
  if (Number.parseInt(found, 10) !== Number.parseInt(binaries.version, 10)) {
    throw new PostgresLaunchError(
      'DATA_DIR_UNUSABLE',
      `${dataDir} was created by PostgreSQL ${found.trim()}, these binaries are ${binaries.version}. ` +
        'Remove the directory, or set POSTGRES_BIN to binaries of that version.',
    );
  }
  return true;
}
