import { InvalidJobArgsError, JobArgsTooLargeError } from '../errors/index.js';
import { DEFAULT_MAX_ARGS_BYTES } from '../jobs/index.js';
import { formatPath } from './format-path.js';
import { findInJson } from './json-text.js';
import { JsonFault, JsonOverBudget, JsonWalk } from './json-walk.js';

/**
 * Writes a job's arguments as JSON, and refuses what would come back different: NaN, Map, bigint, cycles, and
 * NUL characters, which Postgres cannot store. As in JSON.stringify `toJSON` is honoured, undefined
 * properties are left out, and lone surrogates are escaped.
 *
 * Cost: 1.3 µs for a nested payload of 250 bytes, of which JSON.stringify alone takes 0.8 µs (Node 20, one core of
 * two; a replacer function that only looks for NaN would come to 1.5 µs).
 *
 * @param maxBytes limit for the UTF-8 text, in bytes
 * @param kind the job kind, for messages
 * @throws InvalidJobArgsError naming the first value that JSON cannot hold
 * @throws JobArgsTooLargeError when the text has more than `maxBytes` bytes
 */
export function serializeArgs(value: unknown, maxBytes = DEFAULT_MAX_ARGS_BYTES, kind?: string): string {
  const text = toJson(value, maxBytes, kind);
  // JSON.stringify writes NUL as an escape, but an escaped backslash before "u0000" looks the same.
  if (text.includes('\\u0000')) refuseNul(text, kind);
  // No UTF-16 unit takes more than three bytes: most texts need not be measured.
  if (text.length * 3 > maxBytes) {
    const bytes = Buffer.byteLength(text);
    if (bytes > maxBytes) throw new JobArgsTooLargeError(bytes, maxBytes, kind);
  }
  return text;
}

function toJson(value: unknown, maxBytes: number, kind: string | undefined): string {
  try {
    new JsonWalk(maxBytes).visit(value);
    return JSON.stringify(value);
  } catch (error) {
    if (error instanceof JsonOverBudget) throw new JobArgsTooLargeError(error.atLeast, maxBytes, kind);
    if (error instanceof JsonFault) {
      throw new InvalidJobArgsError([{ path: error.path, message: error.message }], kind);
    }
    // A getter or a toJSON of the caller's own.
    const message = `could not be read: ${error instanceof Error ? error.message : 'something was thrown'}`;
    throw new InvalidJobArgsError([{ path: '', message }], kind, { cause: error });
  }
}

function refuseNul(text: string, kind: string | undefined): void {
  const found = findInJson(text, (part) => part.includes('\0'));
  if (found === undefined) return;
  const message = `${found.inKey ? 'the key' : 'the string'} contains NUL, which Postgres cannot store: remove it`;
  throw new InvalidJobArgsError([{ path: formatPath(found.path), message }], kind);
}
