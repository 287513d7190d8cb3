import { hasLoneSurrogate, show } from '../jobs/job-options.rules.js';
import { findInJson } from './json-text.js';
import { JsonFault, JsonOverBudget, JsonWalk } from './json-walk.js';

/** Largest metadata of a job as UTF-8 JSON unless configured otherwise, in bytes: 64 KiB. @publicApi */
export const DEFAULT_MAX_METADATA_BYTES = 64 * 1024;

/** Metadata keys that begin with this belong to this package. @publicApi */
export const RESERVED_METADATA_PREFIX = 'awa:';

/**
 * Writes metadata as JSON fit for jsonb, which takes neither NUL nor lone surrogates.
 *
 * @param maxBytes limit for the UTF-8 text, in bytes
 * @param problems receives a sentence for each problem
 * @returns undefined when there is nothing to store, or a problem
 */
export function serializeMetadata(
  metadata: unknown,
  maxBytes = DEFAULT_MAX_METADATA_BYTES,
  problems: string[] = [],
): string | undefined {
  if (metadata === undefined) return undefined;
  if (!isPlainObject(metadata)) {
    problems.push(`metadata must be a plain object, not ${show(metadata)}`);
    return undefined;
  }
  const reserved = Object.keys(metadata).filter((key) => key.startsWith(RESERVED_METADATA_PREFIX));
  for (const key of reserved) {
    problems.push(`metadata key ${show(key)} is reserved: choose one that does not begin with "awa:"`);
  }
  const text = toJson(metadata, maxBytes, problems);
  return text === '{}' ? undefined : text;
}

function toJson(metadata: object, maxBytes: number, problems: string[]): string | undefined {
  try {
    new JsonWalk(maxBytes).visit(metadata);
    const text = JSON.stringify(metadata);
    if (!text.startsWith('{')) throw new JsonFault([], 'its toJSON must return an object');
    const bytes = Buffer.byteLength(text);
    if (bytes > maxBytes) throw new JsonOverBudget(bytes);
    refuseText(text);
    return text;
  } catch (error) {
    problems.push(explain(error, maxBytes));
    return undefined;
  }
}

/** JSON.stringify escapes what jsonb refuses, so that most texts need no closer look. */
function refuseText(text: string): void {
  if (!text.includes('\\u0000') && !text.includes('\\ud')) return;
  const nul = findInJson(text, (part) => part.includes('\0'));
  if (nul !== undefined) throw new JsonFault(nul.path, 'contains NUL, which Postgres cannot store');
  const half = findInJson(text, hasLoneSurrogate);
  if (half !== undefined)
    throw new JsonFault(half.path, 'contains a lone surrogate, which jsonb cannot store');
}

function explain(error: unknown, maxBytes: number): string {
  if (error instanceof JsonOverBudget) {
    return `metadata must have at most ${maxBytes} bytes as JSON, not ${error.atLeast} or more`;
  }
  if (error instanceof JsonFault) {
    return `metadata${error.path === '' ? '' : ` at ${error.path}`}: ${error.message}`;
  }
  return `metadata could not be read: ${error instanceof Error ? error.message : 'something was thrown'}`;
}

function isPlainObject(value: unknown): value is object {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
