import { SetMetadata } from '@nestjs/common';
import { InvalidOptionsError } from '../errors/index.js';
import type { JobDefinition } from './job-definition.js';
import type { JobHandlerFor, TransactionalJobHandlerFor } from './job-handler-for.js';
import { show, unknownKeyProblems } from './job-options.rules.js';

/** Where {@link JobHandler} leaves the definition on the class. */
export const JOB_HANDLER_METADATA = 'awa:job_handler';

/** Where it leaves its options. */
export const JOB_HANDLER_OPTIONS_METADATA = 'awa:job_handler_options';

/** Options of {@link JobHandler}. @publicApi */
export interface JobHandlerOptions {
  /**
   * Runs `handle` in a transaction of the application's DataSource, its `context.manager`, in which the end of the attempt commits too:
   * what it writes there happens exactly once. Each running attempt takes a connection of that DataSource's pool. Default `false`.
   */
  readonly transactional?: boolean;
}

/**
 * Makes a provider the handler of a kind of job. List the class in the `providers` of a module; dependencies,
 * scopes (`@Injectable({ scope: Scope.REQUEST })` besides), interceptors, guards and filters work as usual. There
 * is one handler a kind in an application.
 *
 * Compiles only for classes whose `handle` accepts the jobs of the definition.
 *
 * @param definition what `defineJob()` returned
 * @param options see {@link JobHandlerOptions}
 * @throws InvalidOptionsError when it is not a definition, or an option cannot be
 *
 * @example
 * ```ts
 * @JobHandler(SendEmail)
 * export class SendEmailHandler {
 *   constructor(private readonly mailer: Mailer) {}
 *
 *   async handle(job: JobOf<typeof SendEmail>) {
 *     await this.mailer.send(job.args);
 *   }
 * }
 * ```
 *
 * @publicApi
 */
export function JobHandler<Definition extends JobDefinition>(
  definition: Definition,
  options: JobHandlerOptions & { readonly transactional: true },
): (target: abstract new (...args: never[]) => TransactionalJobHandlerFor<Definition>) => void;
export function JobHandler<Definition extends JobDefinition>(
  definition: Definition,
  options?: JobHandlerOptions,
): (target: abstract new (...args: never[]) => JobHandlerFor<Definition>) => void;
export function JobHandler(definition: JobDefinition, options: JobHandlerOptions = {}) {
  // Undefined when two files import each other and the bundler has taken the check for that away.
  const { kind, queue } = (definition as Partial<JobDefinition> | undefined) ?? {};
  if (typeof kind !== 'string' || typeof queue !== 'string') {
    throw new InvalidOptionsError('@JobHandler()', [
      'pass what defineJob() returned (if it is undefined here, two files import each other: move the definition to a file of its own)',
    ]);
  }
  const problems = unknownKeyProblems('@JobHandler()', options, ['transactional']);
  const { transactional = false } = options;
  if (typeof transactional !== 'boolean') {
    problems.push(`transactional must be true or false, not ${show(transactional)}`);
  }
  if (problems.length > 0) throw new InvalidOptionsError(`@JobHandler() of job kind ${show(kind)}`, problems);
  const mark = SetMetadata(JOB_HANDLER_METADATA, definition);
  const markOptions = SetMetadata(JOB_HANDLER_OPTIONS_METADATA, { transactional });
  return (target: abstract new (...args: never[]) => unknown): void => {
    mark(target);
    markOptions(target);
  };
}
