import { show } from '../jobs/job-options.rules.js';
import { JsonFault } from './json-walk.js';
import { jsonbProblem, jsonbText } from './jsonb-text.js';

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
    const text = jsonbText(metadata, maxBytes);
    if (!text.startsWith('{')) throw new JsonFault([], 'its toJSON must return an object');
    return text;
  } catch (error) {
    problems.push(jsonbProblem('metadata', error, maxBytes));
    return undefined;
  }
}

function isPlainObject(value: unknown): value is object {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
