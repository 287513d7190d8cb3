import { inspect } from 'node:util';
import { storableText } from './storable-text.js';

/** Longest description of an error that is kept, in bytes of UTF-8. */
export const MAX_ERROR_BYTES = 8 * 1024;

/** Most errors described together: the one thrown, then its causes. */
const MAX_LINKS = 8;
const CAUSED_BY = '\nCaused by: ';

/**
 * Turns whatever was thrown into text for a job's error history: stack and causes of an error, something
 * readable for anything else. At most 8 KiB, well-formed, without NUL. Never throws.
 */
export function describeError(error: unknown): string {
  const links = withCauses(error);
  // Each gets the same room, so that a deep stack at the top does not push out the cause at the bottom.
  const room = Math.floor((MAX_ERROR_BYTES - CAUSED_BY.length * (links.length - 1)) / links.length);
  return links.map((link) => storableText(describeOne(link), room)).join(CAUSED_BY);
}

/** The error, its causes, theirs and so on, each once; the parts of an AggregateError count as causes. */
function withCauses(error: unknown): unknown[] {
  const links = new Set([error]);
  for (const link of links) {
    for (const cause of attempt(() => causesOf(link)) ?? []) {
      if (links.size === MAX_LINKS) return [...links];
      links.add(cause);
    }
  }
  return [...links];
}

function causesOf(error: unknown): unknown[] {
  if (!(error instanceof Error)) return [];
  const parts: unknown[] = error instanceof AggregateError ? error.errors.slice(0, MAX_LINKS) : [];
  return [error.cause, ...parts].filter((cause) => cause !== undefined && cause !== null);
}

function describeOne(value: unknown): string {
  const text: unknown = attempt(() => {
    if (typeof value === 'string') return value;
    if (value instanceof Error) return describeInstance(value);
    return inspect(value, { depth: 3, maxArrayLength: 20, maxStringLength: MAX_ERROR_BYTES });
  });
  return typeof text === 'string' && text.trim() !== '' ? text : `(${typeof value} without a description)`;
}

function describeInstance(error: Error): string {
  const headline = attempt(() => String(error)) ?? 'Error';
  const stack: unknown = attempt(() => error.stack);
  if (typeof stack !== 'string' || stack === '') return headline;
  // A stack is made when the error is: it does not know of a message or name given later.
  return stack.startsWith(headline) ? stack : `${headline}\n${stack}`;
}

/** The result, or undefined when it throws: getters, toString and proxies are other people's code. */
function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
