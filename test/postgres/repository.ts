import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The checkout this file belongs to, run from its source or from `build/`. */
function repositoryRoot(): string {
  let folder = import.meta.dirname;
  while (!existsSync(join(folder, 'package.json'))) {
    const parent = dirname(folder);
    if (parent === folder) throw new Error(`No package.json above ${import.meta.dirname}.`);
    folder = parent;
  }
  return folder;
}

/** The development database's home. Ignored by git. */
export function defaultDataDir(): string {
  return join(repositoryRoot(), '.data', 'postgres');
}
