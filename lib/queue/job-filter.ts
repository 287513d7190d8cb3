import { types } from 'node:util';
import { nameProblems, show, unknownKeyProblems } from '../jobs/job-options.rules.js';
import { JOB_STATES, type JobState } from '../storage/job-state.js';
import type { JobConditions } from '../storage/operations/list-jobs.js';
import { type CursorOrder } from './cursor.js';
import { jobIdProblems } from './job-id.js';

/**
 * Which jobs to list; all conditions that are given have to hold.
 *
 * @publicApi
 */
export interface JobFilter {
  /** This one, or these, at most 1,000: all on one page. */
  readonly id?: string | readonly string[];
  readonly state?: JobState;
  readonly queue?: string;
  readonly kind?: string;
  /** Jobs that have this tag. */
  readonly tag?: string;
  /** Enqueued at this time or later. */
  readonly createdFrom?: Date;
  /** Enqueued before this time. */
  readonly createdTo?: Date;
}

const FILTER_KEYS = Object.keys({
  id: true,
  state: true,
  queue: true,
  kind: true,
  tag: true,
  createdFrom: true,
  createdTo: true,
} satisfies Record<keyof JobFilter, true>);

const MAX_IDS = 1_000;

/** Checks a filter. Each id is kept once. */
export function checkJobFilter(filter: JobFilter, problems: string[]): JobConditions {
  if (typeof filter !== 'object' || filter === null) {
    problems.push(`the filter must be an object, not ${show(filter)}`);
    return {};
  }
  problems.push(...unknownKeyProblems('the filter', filter, FILTER_KEYS));
  const { id, state, queue, kind, tag, createdFrom, createdTo } = filter;
  if (state !== undefined && !JOB_STATES.includes(state)) {
    problems.push(`state must be one of ${JOB_STATES.join(', ')}, not ${show(state)}`);
  }
  for (const [label, value] of Object.entries({ queue, kind, tag })) {
    if (value !== undefined) problems.push(...nameProblems(label, value));
  }
  for (const [label, value] of Object.entries({ createdFrom, createdTo })) {
    if (value !== undefined && !(types.isDate(value) && !Number.isNaN(value.getTime())))
      problems.push(`${label} must be a valid Date, not ${show(value)}`);
  }
  const ids = id === undefined ? undefined : [...new Set<string>(typeof id === 'string' ? [id] : id)];
  if (ids !== undefined && (ids.length === 0 || ids.length > MAX_IDS)) {
    problems.push(`id must name 1 to ${MAX_IDS} jobs, not ${ids.length}`);
  }
  const bad = (ids ?? []).flatMap((one) => jobIdProblems('id', one));
  problems.push(...bad.slice(0, 20));
  return { ids, state, queue, kind, tag, createdFrom, createdTo };
}

/** The order that a list with this state has. */
export function orderOf(state: JobState | undefined): CursorOrder {
  return state === 'available' || state === 'completed' ? state : 'jobs';
}
