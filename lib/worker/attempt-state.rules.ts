import { InvalidOptionsError } from '../errors/index.js';
import { MAX_CHECKPOINT_BYTES, MAX_PROGRESS_MESSAGE_LENGTH } from '../jobs/index.js';
import { show } from '../jobs/job-options.rules.js';
import { jsonbProblem, jsonbText } from '../queue/jsonb-text.js';

/** What a handler said of its progress. */
export interface SaidProgress {
  readonly percent: number;
  readonly message: string | undefined;
}

/** @throws InvalidOptionsError listing every problem */
export function checkedProgress(percent: unknown, message: unknown): SaidProgress {
  const problems: string[] = [];
  // NaN is not between any two numbers.
  if (typeof percent !== 'number' || !(percent >= 0 && percent <= 100)) {
    problems.push(`percent must be a number from 0 to 100, not ${show(percent)}`);
  }
  if (message !== undefined) problems.push(...messageProblems(message));
  if (problems.length > 0) throw new InvalidOptionsError('setProgress()', problems);
  return { percent: percent as number, message: message as string | undefined };
}

/** @throws InvalidOptionsError */
export function checkpointJson(data: unknown): string {
  try {
    return jsonbText(data, MAX_CHECKPOINT_BYTES);
  } catch (error) {
    const problem = jsonbProblem('the checkpoint', error, MAX_CHECKPOINT_BYTES);
    throw new InvalidOptionsError('checkpoint()', [problem], { cause: error });
  }
}

function messageProblems(message: unknown): string[] {
  if (typeof message !== 'string') return [`message must be a string, not ${show(message)}`];
  const problems: string[] = [];
  if (message.length > MAX_PROGRESS_MESSAGE_LENGTH) {
    problems.push(
      `message must have at most ${MAX_PROGRESS_MESSAGE_LENGTH} characters, not ${message.length}`,
    );
  }
  if (message.includes('\0')) problems.push('message must not contain NUL, which Postgres cannot store');
  return problems;
}
