import { InvalidOptionsError } from '../errors/index.js';
import { type JobDefinition, type UniqueOptions, uniqueProblems } from '../jobs/index.js';
import { nameProblems, show, unknownKeyProblems } from '../jobs/job-options.rules.js';
import { type CancelOptions, reasonProblems } from './cancel-options.js';
import { chooseConnection, type TransactionConnection } from './transaction-options.js';

/** Options of cancelling a job by its unique key. @publicApi */
export interface CancelUniqueOptions extends CancelOptions {
  /** The queue it was enqueued into; of importance for keys with `queue: true`. Default: the definition's. */
  readonly queue?: string;
  /** What it was enqueued with. Default: the definition's. */
  readonly unique?: UniqueOptions;
}

// A record, so that the compiler complains when an option is missing here.
const KNOWN_OPTIONS = Object.keys({
  queue: true,
  unique: true,
  reason: true,
  manager: true,
  queryRunner: true,
  client: true,
} satisfies Record<keyof CancelUniqueOptions, true>);

/** Options of a call, checked. */
export interface ResolvedCancelUnique {
  readonly queue: string;
  readonly unique: UniqueOptions;
  /** Undefined when the call is to use a connection of its own. */
  readonly connection: TransactionConnection | undefined;
}

/** Checks the options of a call. @throws InvalidOptionsError that lists every problem */
export function resolveCancelUnique(
  definition: JobDefinition,
  options: CancelUniqueOptions,
): ResolvedCancelUnique {
  const { queue, unique = definition.unique } = options;
  const problems = unknownKeyProblems('cancel', options, KNOWN_OPTIONS);
  if (queue !== undefined) problems.push(...nameProblems('queue', queue));
  if (unique === undefined) {
    problems.push(
      `jobs of kind ${show(definition.kind)} are not unique: pass the unique option they were enqueued with`,
    );
  } else problems.push(...uniqueProblems(unique));
  problems.push(...reasonProblems(options.reason));
  const connection = chooseConnection(options, problems);
  if (problems.length > 0 || unique === undefined) {
    throw new InvalidOptionsError(`cancelUniqueJob() of job kind ${show(definition.kind)}`, problems);
  }
  return { queue: queue ?? definition.queue, unique, connection };
}
