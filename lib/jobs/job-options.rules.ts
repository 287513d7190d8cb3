import {
  MAX_ATTEMPTS_LIMIT,
  MAX_DELAY_MS,
  MAX_NAME_LENGTH,
  MAX_TAGS,
  MAX_TIMEOUT_MS,
} from './job.constants.js';

// Rules shared by defineJob() and by the options of one enqueue. Each returns the problems it found as
// sentences, so that the caller can report all of them at once.

/** What is wrong with the name of a queue or kind, or with a tag. */
export function nameProblems(label: string, value: unknown): string[] {
  if (typeof value !== 'string') return [`${label} must be a string, not ${typeName(value)}`];
  const problems: string[] = [];
  if (value.trim() === '') problems.push(`${label} must not be empty`);
  else if (value.trim() !== value) problems.push(`${label} must not begin or end with white space`);
  if (value.length > MAX_NAME_LENGTH) {
    problems.push(`${label} must have at most ${MAX_NAME_LENGTH} characters, not ${value.length}`);
  }
  if (value.includes('\0')) problems.push(`${label} must not contain NUL, which Postgres cannot store`);
  if (hasLoneSurrogate(value))
    problems.push(`${label} must be well-formed Unicode (it has a lone surrogate)`);
  return problems;
}

/** What is wrong with a priority. */
export function priorityProblems(value: unknown): string[] {
  return isIntegerBetween(value, 1, 4)
    ? []
    : [`priority must be 1 (most urgent), 2, 3 or 4, not ${show(value)}`];
}

/** What is wrong with a number of attempts. */
export function maxAttemptsProblems(value: unknown): string[] {
  return isIntegerBetween(value, 1, MAX_ATTEMPTS_LIMIT)
    ? []
    : [`maxAttempts must be a whole number from 1 to ${MAX_ATTEMPTS_LIMIT}, not ${show(value)}`];
}

/** What is wrong with a number of jobs of a kind that run at a time. */
export function concurrencyProblems(value: unknown): string[] {
  return isIntegerBetween(value, 1, 10_000)
    ? []
    : [`concurrency must be a whole number from 1 to 10000, not ${show(value)}`];
}

/** What is wrong with a list of tags. */
export function tagsProblems(value: unknown): string[] {
  if (!Array.isArray(value)) return [`tags must be an array of strings, not ${typeName(value)}`];
  const problems = value.flatMap((tag: unknown, index) => nameProblems(`tags[${index}]`, tag));
  if (new Set(value).size > MAX_TAGS) problems.push(`tags must hold at most ${MAX_TAGS} different tags`);
  return problems;
}

/** What is wrong with a duration in milliseconds. */
export function delayProblems(label: string, value: unknown): string[] {
  return typeof value === 'number' && value >= 0 && value <= MAX_DELAY_MS
    ? []
    : [`${label} must be a number of milliseconds from 0 to ${MAX_DELAY_MS} (ten years), not ${show(value)}`];
}

/** What is wrong with the time-out of an attempt. */
export function timeoutProblems(label: string, value: unknown): string[] {
  return isIntegerBetween(value, 0, MAX_TIMEOUT_MS)
    ? []
    : [
        `${label} must be a whole number of milliseconds from 0 (none) to ${MAX_TIMEOUT_MS} (24 days), not ${show(value)}`,
      ];
}

/** Names the keys of an options object that mean nothing: most often a typing error. */
export function unknownKeyProblems(label: string, value: object, known: readonly string[]): string[] {
  return Object.keys(value)
    .filter((key) => !known.includes(key))
    .map((key) => `${label} has no option "${key}" (known: ${known.join(', ')})`);
}

/** Whether a string has half of a surrogate pair without its other half, which UTF-8 cannot express. */
export function hasLoneSurrogate(value: string): boolean {
  return /\p{Surrogate}/u.test(value);
}

/** A value as it should appear in a sentence: short, and never failing. */
export function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value);
  if (typeof value === 'number' || typeof value === 'boolean' || value == null) return String(value);
  return typeName(value);
}

function typeName(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'an array' : typeof value;
}

function isIntegerBetween(value: unknown, min: number, max: number): boolean {
  return typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max;
}
