import { types } from 'node:util';
import { InvalidOptionsError } from '../errors/index.js';
import { decodeCursor, DEFAULT_PAGE_SIZE, limitProblems, type PageOptions } from '../queue/cursor.js';
import { nameProblems, show, unknownKeyProblems } from '../jobs/job-options.rules.js';
import type { DeadLetterConditions } from '../storage/operations/dead-letters.js';
import type { PageRange } from '../storage/operations/page.js';
import { jobIdProblems } from '../queue/job-id.js';

/**
 * Which dead letters; all conditions that are given have to hold.
 *
 * @publicApi
 */
export interface DeadLetterFilter {
  /** These, 1 to 10,000. */
  readonly ids?: readonly string[];
  readonly queue?: string;
  readonly kind?: string;
  /** Jobs that have this tag. */
  readonly tag?: string;
  readonly reason?: string;
  /** Dead letters since this time (with `moveFailed()`: failed since), inclusive. */
  readonly from?: Date;
  /** Exclusive. */
  readonly to?: Date;
}

/**
 * Which dead letters an operation is for: at least one condition, or `all: true`.
 *
 * @publicApi
 */
export type DeadLetterSelection = (DeadLetterFilter & { readonly all?: false }) | { readonly all: true };

const FILTER_KEYS = Object.keys({
  ids: true,
  queue: true,
  kind: true,
  tag: true,
  reason: true,
  from: true,
  to: true,
} satisfies Record<keyof DeadLetterFilter, true>);

/** Most ids of one call. */
const MAX_IDS = 10_000;

/** Checks a filter. Each id is kept once. */
export function checkFilter(
  filter: DeadLetterFilter,
  problems: string[],
  known: readonly string[] = FILTER_KEYS,
): DeadLetterConditions {
  if (typeof filter !== 'object' || filter === null) {
    problems.push(`the filter must be an object, not ${show(filter)}`);
    return {};
  }
  problems.push(...unknownKeyProblems('the filter', filter, known));
  const { ids, queue, kind, tag, reason, from, to } = filter;
  for (const [label, value] of Object.entries({ queue, kind, tag })) {
    if (value !== undefined) problems.push(...nameProblems(label, value));
  }
  if (reason !== undefined) problems.push(...reasonProblems(reason));
  for (const [label, value] of Object.entries({ from, to })) {
    if (value !== undefined && !(types.isDate(value) && !Number.isNaN(value.getTime())))
      problems.push(`${label} must be a valid Date, not ${show(value)}`);
  }
  return { ids: ids === undefined ? undefined : checkIds(ids, problems), queue, kind, tag, reason, from, to };
}

function checkIds(ids: readonly string[], problems: string[]): string[] {
  if (!Array.isArray(ids) || ids.length === 0) {
    problems.push('ids must be an array of at least one id');
    return [];
  }
  const unique = [...new Set<string>(ids)];
  if (unique.length > MAX_IDS) problems.push(`ids must hold at most ${MAX_IDS} ids, not ${unique.length}`);
  for (const id of unique) {
    problems.push(...jobIdProblems('each of ids', id));
    if (problems.length > 20) break;
  }
  return unique;
}

/** Checks which entries an operation on many is for. */
export function checkSelection(
  subject: string,
  selection: DeadLetterSelection,
  problems: string[],
  known = FILTER_KEYS,
): DeadLetterConditions {
  if (typeof selection !== 'object' || selection === null) {
    throw new InvalidOptionsError(subject, [`the filter must be an object, not ${show(selection)}`]);
  }
  const { all, ...filter } = selection as DeadLetterFilter & { all?: unknown };
  const conditions = checkFilter(filter, problems, known);
  const isEmpty = Object.values(filter).every((condition) => condition === undefined);
  if (all !== undefined && typeof all !== 'boolean')
    problems.push(`all must be true or false, not ${show(all)}`);
  else if (all === true && !isEmpty) problems.push('pass either conditions or { all: true }, not both');
  else if (all !== true && isEmpty)
    problems.push('pass at least one condition, or { all: true } when all of them are meant');
  return conditions;
}

/** The conditions that failed jobs can be chosen by. */
export const FAILED_FILTER_KEYS = FILTER_KEYS.filter((key) => key !== 'reason');

/** What is wrong with the reason of a dead letter. */
export function reasonProblems(reason: unknown): string[] {
  return nameProblems('reason', reason);
}

/** Checks which page to read. */
export function checkPage({ limit = DEFAULT_PAGE_SIZE, cursor }: PageOptions, problems: string[]): PageRange {
  problems.push(...limitProblems(limit));
  return { limit, after: decodeCursor('dead-letters', cursor, problems) };
}
