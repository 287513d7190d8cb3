import { constants } from 'node:fs';
import { chmod, cp, lstat, mkdtemp, readFile, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { hydrateLinks, ignoreCode } from './hydrate-links.js';
import { PostgresLaunchError } from './launch-error.js';
import { reachableTempDir, type OsUser } from './os-user.js';

/**
 * Copies the binaries below the temporary directory and returns the copy's package folder.
 *
 * Needed when the server's user cannot pass through to node_modules (a checkout below /root), or when
 * node_modules lacks its library links and is read-only. The copy is kept for the next run, keyed by version
 * and by the user who made it.
 *
 * The copy belongs to whoever makes it, not to the server's user: reading is all the server needs, and a
 * server that cannot rewrite its own binaries is the safer one.
 */
export async function copyBinaries(packageDir: string, user: OsUser | undefined): Promise<string> {
  const temp = await reachableTempDir(user);
  const self = process.getuid?.() ?? 0;
  const version = await packageVersion(packageDir);
  const target = join(temp, `nestjs-awa-postgres-${version}-${process.platform}-${process.arch}-${self}`);
  if (await isCompleteCopy(packageDir, target, self)) return target;
  // What is there, if anything, is a copy that the system's cleaning of old temporary files has been at.
  await rm(target, { recursive: true, force: true });

  const draft = await mkdtemp(`${target}.`);
  try {
    await cp(join(packageDir, 'native'), join(draft, 'native'), {
      recursive: true,
      verbatimSymlinks: true,
      mode: constants.COPYFILE_FICLONE,
    });
    // The copy has inherited the modes, and a package that could not be hydrated is often a read-only one.
    await openForReading(draft);
    await hydrateLinks(draft);
    // Whole or not at all. If another process was faster, its copy is as good as ours.
    await rename(draft, target).catch(ignoreCode('ENOTEMPTY', 'EEXIST'));
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
  return target;
}

async function packageVersion(packageDir: string): Promise<string> {
  const manifest: unknown = JSON.parse(await readFile(join(packageDir, 'package.json'), 'utf8'));
  const isObject = typeof manifest === 'object' && manifest !== null;
  return isObject && 'version' in manifest ? String(manifest.version) : 'unknown';
}

async function isCompleteCopy(packageDir: string, target: string, self: number): Promise<boolean> {
  const existing = await lstat(target).catch(ignoreCode('ENOENT'));
  if (existing === undefined) return false;
  // The name can be guessed and the parent is writable for everybody: never run what somebody else put there.
  if (!existing.isDirectory() || existing.uid !== self || (existing.mode & 0o022) !== 0) {
    throw new PostgresLaunchError(
      'BINARIES_UNUSABLE',
      `${target} was not made by this user. Remove it, or set TMPDIR to another directory.`,
    );
  }
  const [wanted, copied] = await Promise.all([
    readdir(join(packageDir, 'native'), { recursive: true }),
    readdir(join(target, 'native'), { recursive: true }).catch(ignoreCode('ENOENT')),
  ]);
  const have = new Set(copied);
  return wanted.every((name) => have.has(name));
}

/** Undoes a strict umask (of us, or of the `npm ci` that unpacked the files). */
async function openForReading(directory: string): Promise<void> {
  await chmod(directory, 0o755);
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) await openForReading(path);
    else if (entry.isFile()) await chmod(path, (await lstat(path)).mode & 0o111 ? 0o755 : 0o644);
  }
}
