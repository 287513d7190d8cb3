import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * Version of an installed package, as its package.json says.
 *
 * @param name of a package that this one can import
 */
export function packageVersion(name: string): string {
  // Not by resolving `name/package.json`: few packages export that.
  let directory = dirname(fileURLToPath(import.meta.resolve(name)));
  for (;;) {
    const found = readPackage(join(directory, 'package.json'));
    if (found?.name === name) return found.version;
    if (dirname(directory) === directory) throw new Error(`${name} has no package.json above its entry`);
    directory = dirname(directory);
  }
}

function readPackage(file: string): { readonly name?: string; readonly version: string } | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as { readonly name?: string; readonly version: string };
  } catch {
    return undefined;
  }
}
