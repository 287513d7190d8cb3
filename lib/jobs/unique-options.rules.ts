import { JOB_STATES, type JobState } from '../storage/job-state.js';
import { hasLoneSurrogate, show, unknownKeyProblems } from './job-options.rules.js';
import { MAX_DELAY_MS } from './job.constants.js';
import type { UniqueOptions } from './unique-options.js';

/**
 * States in which every unique job holds its key. They cannot be chosen from: a job that gave its key up on the way from
 * one of them to another might find it taken when it comes back.
 *
 * @publicApi
 */
export const UNIQUE_STATES: readonly JobState[] = Object.freeze([
  'scheduled',
  'available',
  'running',
  'retryable',
]);

// A record, so that the compiler complains when an option is missing here.
const KNOWN_OPTIONS = Object.keys({
  key: true,
  args: true,
  queue: true,
  period: true,
  states: true,
} satisfies Record<keyof UniqueOptions, true>);

/** What is wrong with the `unique` option. */
export function uniqueProblems(value: unknown): string[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return [`unique must be an object, not ${show(value)}`];
  }
  const { key, args, queue, period, states }: Partial<Record<keyof UniqueOptions, unknown>> = value;
  const problems = unknownKeyProblems('unique', value, KNOWN_OPTIONS);
  if (key !== undefined) problems.push(...textProblems('unique.key', key));
  if (args !== undefined) problems.push(...argsProblems(args));
  if (queue !== undefined && typeof queue !== 'boolean') {
    problems.push(`unique.queue must be true or false, not ${show(queue)}`);
  }
  if (period !== undefined && !isPeriod(period)) {
    problems.push(
      `unique.period must be a whole number of milliseconds from 1 to ${MAX_DELAY_MS} (ten years), not ${show(period)}`,
    );
  }
  if (states !== undefined) problems.push(...statesProblems(states));
  return problems;
}

/** A copy that nobody can change any more. */
export function frozenUnique({ args, states, ...rest }: UniqueOptions): UniqueOptions {
  return Object.freeze({
    ...rest,
    ...(args === undefined ? {} : { args: args === true ? args : Object.freeze([...args]) }),
    ...(states === undefined ? {} : { states: Object.freeze([...states]) }),
  });
}

function argsProblems(value: unknown): string[] {
  if (value === true) return [];
  if (!Array.isArray(value)) return [`unique.args must be true or an array of paths, not ${show(value)}`];
  if (value.length === 0)
    return ['unique.args must name a path: leave it out when the arguments do not matter'];
  return value.flatMap((path: unknown, index) => {
    const label = `unique.args[${index}]`;
    const problems = textProblems(label, path);
    if (problems.length === 0 && String(path).split('.').includes('')) {
      problems.push(`${label} must be a path such as "user.id", not ${show(path)}`);
    }
    return problems;
  });
}

function statesProblems(value: unknown): string[] {
  if (!Array.isArray(value)) return [`unique.states must be an array of states, not ${show(value)}`];
  const problems = value
    .filter((state: unknown) => !(JOB_STATES as readonly unknown[]).includes(state))
    .map((state: unknown) => `unique.states has no state ${show(state)} (known: ${JOB_STATES.join(', ')})`);
  const missing = UNIQUE_STATES.filter((state) => !value.includes(state));
  if (missing.length > 0) {
    problems.push(
      `unique.states must contain ${missing.join(', ')} too: a job that gave up its key there could not get it back`,
    );
  }
  return problems;
}

function textProblems(label: string, value: unknown): string[] {
  if (typeof value !== 'string') return [`${label} must be a string, not ${show(value)}`];
  if (value === '') return [`${label} must not be empty`];
  return hasLoneSurrogate(value) ? [`${label} must be well-formed Unicode (it has a lone surrogate)`] : [];
}

function isPeriod(value: unknown): boolean {
  return Number.isInteger(value) && Number(value) >= 1 && Number(value) <= MAX_DELAY_MS;
}
