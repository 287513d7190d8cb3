import { show } from '../jobs/job-options.rules.js';

const MAX_BIGINT = 9223372036854775807n;

/** What is wrong with the id of a job. */
export function jobIdProblems(label: string, id: unknown): string[] {
  const isId = typeof id === 'string' && /^[1-9]\d{0,18}$/.test(id) && BigInt(id) <= MAX_BIGINT;
  return isId ? [] : [`${label} must be a decimal string such as "42", not ${show(id)}`];
}
