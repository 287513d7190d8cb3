import { SetMetadata } from '@nestjs/common';
import { InvalidOptionsError } from '../errors/index.js';
import type { JobDefinition } from './job-definition.js';
import type { JobHandlerFor } from './job-handler-for.js';

/** Where {@link JobHandler} leaves the definition on the class. */
export const JOB_HANDLER_METADATA = 'awa:job_handler';

/**
 * Makes a provider the handler of a kind of job. List the class in the `providers` of a module; dependencies,
 * scopes (`@Injectable({ scope: Scope.REQUEST })` besides), interceptors, guards and filters work as usual. There
 * is one handler a kind in an application.
 *
 * Compiles only for classes whose `handle` accepts the jobs of the definition.
 *
 * @param definition what `defineJob()` returned
 * @throws InvalidOptionsError when it is not a definition
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
export function JobHandler<Definition extends JobDefinition>(definition: Definition) {
  // Undefined when two files import each other and the bundler has taken the check for that away.
  const { kind, queue } = (definition as Partial<JobDefinition> | undefined) ?? {};
  if (typeof kind !== 'string' || typeof queue !== 'string') {
    throw new InvalidOptionsError('@JobHandler()', [
      'pass what defineJob() returned (if it is undefined here, two files import each other: move the definition to a file of its own)',
    ]);
  }
  const mark = SetMetadata(JOB_HANDLER_METADATA, definition);
  return (target: abstract new (...args: never[]) => JobHandlerFor<Definition>): void => {
    mark(target);
  };
}
