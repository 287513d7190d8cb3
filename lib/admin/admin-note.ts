import { InvalidOptionsError } from '../errors/index.js';
import { hasLoneSurrogate, nameProblems, show, unknownKeyProblems } from '../jobs/job-options.rules.js';

/** Why an administrator does something, and who. @publicApi */
export interface AdminNote {
  /** 1 to 1,000 characters. */
  readonly reason?: string;
  /** 1 to 200 characters. */
  readonly by?: string;
}

const MAX_REASON_LENGTH = 1_000;

/** @throws InvalidOptionsError that lists every problem */
export function checkAdminNote(call: string, note: AdminNote): void {
  const problems = unknownKeyProblems(call, note, ['reason', 'by']);
  const { reason, by } = note;
  if (by !== undefined) problems.push(...nameProblems('by', by));
  if (reason !== undefined && !isReason(reason)) {
    problems.push(
      `reason must be a text of 1 to ${MAX_REASON_LENGTH} characters, without NUL or lone surrogates, not ${show(reason)}`,
    );
  }
  if (problems.length > 0) throw new InvalidOptionsError(call, problems);
}

/** What happened, as it is kept with a job: `the queue was drained by ops: campaign was called off`. */
export function noteText(what: string, { reason, by }: AdminNote): string {
  return `${what}${by === undefined ? '' : ` by ${by}`}${reason === undefined ? '' : `: ${reason}`}`;
}

function isReason(value: unknown): boolean {
  return (
    typeof value === 'string' &&
    value.trim() !== '' &&
    value.length <= MAX_REASON_LENGTH &&
    !value.includes('\0') &&
    !hasLoneSurrogate(value)
  );
}
