import type { JobContext, TransactionalJobContext } from './job-context.js';
import type { JobDefinition } from './job-definition.js';
import type { JobOf } from './job.js';

/**
 * What a class decorated with `@JobHandler(definition)` has to be.
 *
 * @example
 * ```ts
 * @JobHandler(SendEmail)
 * export class SendEmailHandler implements JobHandlerFor<typeof SendEmail> {
 *   async handle(job: JobOf<typeof SendEmail>, { signal }: JobContext) {
 *     if (await this.mailer.isBlocked(job.args.to)) return cancel('recipient has unsubscribed');
 *     await this.mailer.send(job.args, { signal });
 *   }
 * }
 * ```
 *
 * @publicApi
 */
export interface JobHandlerFor<Definition extends JobDefinition> {
  // A property, not a method: methods are compared bivariantly, which would let a handler ask for more than
  // the definition gives.
  /**
   * Works on one attempt. Fulfilled: the job is completed, whatever the value, unless it is a `JobOutcome`.
   * Rejected: the attempt failed and is tried again, unless a `JobOutcome` was thrown. May run more than once
   * for a job, so its effects should be idempotent.
   */
  readonly handle: (job: JobOf<Definition>, context: JobContext) => unknown;
}

/**
 * What a class decorated with `@JobHandler(definition, { transactional: true })` has to be.
 *
 * @publicApi
 */
export interface TransactionalJobHandlerFor<Definition extends JobDefinition> {
  /** As that of any handler; writes with `context.manager` commit with the outcome it returns, and roll back when it throws. */
  readonly handle: (job: JobOf<Definition>, context: TransactionalJobContext) => unknown;
}
