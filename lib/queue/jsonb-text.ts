import { hasLoneSurrogate } from '../jobs/job-options.rules.js';
import { findInJson } from './json-text.js';
import { JsonFault, JsonOverBudget, JsonWalk } from './json-walk.js';

/**
 * Writes a value as JSON fit for jsonb, which takes neither NUL nor lone surrogates.
 *
 * @param maxBytes limit for the UTF-8 text, in bytes
 * @throws JsonFault at the first thing that JSON or jsonb cannot hold, JsonOverBudget, and whatever a getter or toJSON throws;
 *   {@link jsonbProblem} puts all of them into words
 */
export function jsonbText(value: unknown, maxBytes: number): string {
  new JsonWalk(maxBytes).visit(value);
  const text = JSON.stringify(value);
  const bytes = Buffer.byteLength(text);
  if (bytes > maxBytes) throw new JsonOverBudget(bytes);
  refuseText(text);
  return text;
}

/** What {@link jsonbText} objected to, as a sentence about `label`. */
export function jsonbProblem(label: string, error: unknown, maxBytes: number): string {
  if (error instanceof JsonOverBudget) {
    return `${label} must have at most ${maxBytes} bytes as JSON, not ${error.atLeast} or more`;
  }
  if (error instanceof JsonFault) {
    return `${label}${error.path === '' ? '' : ` at ${error.path}`}: ${error.message}`;
  }
  return `${label} could not be read: ${error instanceof Error ? error.message : 'something was thrown'}`;
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
