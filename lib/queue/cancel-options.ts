import { InvalidOptionsError } from '../errors/index.js';
import { show, unknownKeyProblems } from '../jobs/job-options.rules.js';
import { jobIdProblems } from './job-id.js';
import {
  chooseConnection,
  type TransactionConnection,
  type TransactionOptions,
} from './transaction-options.js';

/** Options of cancelling jobs. @publicApi */
export interface CancelOptions extends TransactionOptions {
  /** Kept with the job, at most 8 KiB. Default `cancelled`. */
  readonly reason?: string;
}

/** Checks the ids and options of a call. @throws InvalidOptionsError that lists every problem */
export function resolveCancel(
  ids: readonly string[],
  options: CancelOptions,
): TransactionConnection | undefined {
  const problems = unknownKeyProblems('cancel', options, ['reason', 'manager', 'queryRunner', 'client']);
  problems.push(...ids.flatMap((id) => jobIdProblems('the id of a job', id)));
  problems.push(...reasonProblems(options.reason));
  const connection = chooseConnection(options, problems);
  if (problems.length > 0) throw new InvalidOptionsError('cancelJobs()', problems);
  return connection;
}

/** What is wrong with the reason of a cancel. */
export function reasonProblems(reason: unknown): string[] {
  return reason === undefined || typeof reason === 'string'
    ? []
    : [`reason must be a string, not ${show(reason)}`];
}
