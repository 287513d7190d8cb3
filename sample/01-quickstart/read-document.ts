import { readFile } from 'node:fs/promises';

/** The file will not become readable by trying again. */
export class UnreadableDocumentError extends Error {
  override readonly name = 'UnreadableDocumentError';
}

/** Reads a text file, and tells what is wrong with the file (no retry) from what may pass (any other error). */
export async function readDocument(path: string): Promise<string> {
  const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') throw new UnreadableDocumentError(`${path} does not exist`);
    if (error.code === 'EISDIR') throw new UnreadableDocumentError(`${path} is a directory`);
    throw error;
  });
  const text = decodeUtf8(bytes);
  // Postgres cannot store U+0000, and no text contains it.
  if (text === undefined || text.includes('\0')) {
    throw new UnreadableDocumentError(`${path} is not UTF-8 text`);
  }
  return text;
}

function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
