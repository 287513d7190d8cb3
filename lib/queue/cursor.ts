import type { Position } from '../storage/operations/page.js';

/** One page of a list. @publicApi */
export interface ListPage<Item> {
  /** Newest first. */
  readonly items: readonly Item[];
  /**
   * Pass it as `cursor` for the next page; undefined: there is none. A page with a filter can be short, even empty, and yet have
   * a next one: a call looks at a bounded number of jobs.
   */
  readonly cursor: string | undefined;
}

/** Which page of a list to read. @publicApi */
export interface PageOptions {
  /** Most items on the page, 1 to 1,000. Default 50. */
  readonly limit?: number;
  /** From the page before; it belongs to the same filter. */
  readonly cursor?: string | undefined;
}

export const DEFAULT_PAGE_SIZE = 50;
export const MAX_PAGE_SIZE = 1_000;

/** Which of the orders a cursor belongs to. */
export type CursorOrder = 'dead-letters' | 'jobs' | 'available' | 'completed';

/** A position as text that nobody should look into. */
export function encodeCursor(order: CursorOrder, position: Position | undefined): string | undefined {
  if (position === undefined) return undefined;
  return Buffer.from(`${order}:${position.key}:${position.id}`).toString('base64url');
}

/** And back; undefined with a problem when it is not one of this order. */
export function decodeCursor(
  order: CursorOrder,
  cursor: string | undefined,
  problems: string[],
): Position | undefined {
  if (cursor === undefined) return undefined;
  const text = typeof cursor === 'string' ? Buffer.from(cursor, 'base64url').toString() : '';
  const match = /^([a-z-]+):(-?\d{1,20}):(\d{1,19})$/.exec(text);
  if (match?.[2] === undefined || match[3] === undefined || BigInt(match[3]) > MAX_BIGINT) {
    problems.push('cursor must be one that a page had');
  } else if (match[1] !== order) {
    problems.push('cursor belongs to a list with another filter');
  } else return { key: match[2], id: match[3] };
  return undefined;
}

const MAX_BIGINT = 9223372036854775807n;

/** What is wrong with the size of a page. */
export function limitProblems(limit: unknown): string[] {
  return Number.isInteger(limit) && (limit as number) >= 1 && (limit as number) <= MAX_PAGE_SIZE
    ? []
    : [`limit must be a whole number from 1 to ${MAX_PAGE_SIZE}, not ${String(limit)}`];
}

/** What is wrong with the number up to which counts are exact. */
export function capProblems(cap: unknown): string[] {
  return Number.isInteger(cap) && (cap as number) >= 1 && (cap as number) <= 1_000_000
    ? []
    : [`cap must be a whole number from 1 to 1000000, not ${String(cap)}`];
}
