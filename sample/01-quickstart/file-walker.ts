import { readdir } from 'node:fs/promises';
import { join, sep } from 'node:path';

/** The markdown files below a directory, sorted, with forward slashes. Symbolic links are not followed. */
export async function findMarkdownFiles(root: string): Promise<string[]> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() && entry.name.toLowerCase().endsWith('.md'))
    .map((entry) => join(entry.parentPath, entry.name).split(sep).join('/'))
    .sort();
}
