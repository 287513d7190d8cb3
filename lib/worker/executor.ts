import { Logger } from '@nestjs/common';
import type { ModuleRef } from '@nestjs/core';
import type { DiscoveredHandler } from '../discovery/discovered-handler.js';
import type { HandlerRegistry } from '../discovery/handler.registry.js';
import { InvalidJobArgsError, JobTimeoutError } from '../errors/index.js';
import {
  describeError,
  isJobOutcome,
  type Job,
  type JobContext,
  type JobPriority,
  parsePayload,
  retryDelayMs,
} from '../jobs/index.js';
import { validateArgs } from '../queue/validate-args.js';
import type { ClaimedJob } from '../storage/operations/claim-jobs.js';
import type { Settlement } from '../storage/operations/close-attempts.js';
import type { Attempt } from './attempt.js';
import { type AttemptResult, fromOutcome, RELEASED } from './attempt-result.js';
import type { AttemptTransactions } from './attempt-transactions.js';
import type { EnhancedHandler, HandlerEnhancers } from './handler-enhancers.js';
import { contextOf, type HandlerInstance, resolveHandler, staticInstance } from './handler-resolver.js';
import { UnknownKinds } from './unknown-kinds.js';

/** Runs one attempt: finds the handler, checks the arguments, calls it, and says how it ended. Never throws. */
export class Executor {
  private readonly logger = new Logger('Awa executor');
  private readonly unknownKinds = new UnknownKinds();

  constructor(
    private readonly registry: HandlerRegistry,
    private readonly moduleRef: ModuleRef,
    private readonly transactions: AttemptTransactions,
    private readonly enhancers: HandlerEnhancers,
  ) {}

  /** How many jobs of the kind this process runs at a time; undefined: as many as there are slots. */
  concurrencyOf(kind: string): number | undefined {
    return this.registry.get(kind)?.definition.concurrency;
  }

  async run(attempt: Attempt): Promise<AttemptResult> {
    const { job: claimed } = attempt;
    const handler = this.registry.get(claimed.kind);
    if (handler === undefined) {
      return { outcome: 'snoozed', error: undefined, delayMs: this.unknownKinds.delayMs(claimed.kind) };
    }
    try {
      // Awaited in any case: a handler never runs within the loop that starts it.
      const job = jobOf(claimed, await argsOf(claimed, handler));
      const contextId = handler.isStatic ? undefined : contextOf(this.moduleRef, job);
      const instance =
        contextId === undefined
          ? staticInstance(handler)
          : await resolveHandler(this.moduleRef, handler, contextId);
      if (handler.isEnhanced) {
        return await this.runEnhanced(
          attempt,
          handler,
          job,
          this.enhancers.enhance(handler, instance, contextId),
        );
      }
      if (handler.isTransactional) return await this.runInTransaction(attempt, instance, job);
      const result: unknown = await instance.handle(job, attempt.context);
      return isJobOutcome(result) ? fromOutcome(result) : 'completed';
    } catch (error) {
      if (attempt.isCompletedIn) this.tellLateError(claimed, error);
      if (UnusableArgs.is(error))
        return { outcome: 'invalid', error: describeError(error.cause), delayMs: undefined };
      if (isJobOutcome(error)) return fromOutcome(error);
      if (attempt.isShuttingDown) return RELEASED;
      if (attempt.timeoutError !== undefined)
        return this.timedOut(attempt, withCause(attempt.timeoutError, error));
      return {
        outcome: 'error',
        error: describeError(error),
        delayMs: retryDelayMs(handler.definition.retry, claimed.attempt, error),
      };
    }
  }

  /** What becomes of an attempt that is over its time. */
  timedOut({ job }: Attempt, error: JobTimeoutError): Omit<Settlement, 'job'> {
    const retry = this.registry.get(job.kind)?.definition.retry;
    return {
      outcome: 'timed_out',
      error: describeError(error),
      delayMs: retryDelayMs(retry, job.attempt, error),
    };
  }

  private runInTransaction(attempt: Attempt, instance: HandlerInstance, job: Job): Promise<AttemptResult> {
    return this.transactions.run(attempt, (context) => call(instance, job, context));
  }

  /** Filters come last, outside of the transaction: what has thrown is rolled back, whatever they make of it. */
  private async runEnhanced(
    attempt: Attempt,
    { isTransactional }: DiscoveredHandler,
    job: Job,
    enhanced: EnhancedHandler,
  ): Promise<AttemptResult> {
    try {
      if (isTransactional) return await this.runInTransaction(attempt, enhanced, job);
      return await call(enhanced, job, attempt.context);
    } catch (error) {
      // Nothing that an answer of theirs could change: an outcome, a job that goes back, a result that may be durable.
      if (isJobOutcome(error) || attempt.isShuttingDown || attempt.isUnsure) throw error;
      const outcome = await enhanced.outcomeOf(error, job, attempt.context);
      if (outcome === undefined) throw error;
      return fromOutcome(outcome);
    }
  }

  /** It counts only if the transaction did not commit; otherwise nobody else would hear of it. */
  private tellLateError({ jobId, kind }: ClaimedJob, error: unknown): void {
    const [reason] = describeError(error).split('\n', 1);
    this.logger.warn(`job ${jobId} (${kind}): error after completeIn(): ${reason}`);
  }
}

/** The arguments as the handler gets them. */
function argsOf({ argsJson, kind }: ClaimedJob, { definition: { schema } }: DiscoveredHandler): unknown {
  const stored: unknown = JSON.parse(argsJson);
  return schema === undefined ? stored : checkedArgs(schema, stored, kind);
}

function jobOf(claimed: ClaimedJob, args: unknown): Job {
  const { metadata, tags, errors, progress, checkpoint } = parsePayload(claimed.payloadJson);
  return {
    id: claimed.jobId,
    kind: claimed.kind,
    queue: claimed.queue,
    priority: claimed.priority as JobPriority,
    args,
    attempt: claimed.attempt,
    maxAttempts: claimed.maxAttempts,
    runLease: claimed.runLease,
    runAt: claimed.runAt,
    createdAt: claimed.createdAt,
    metadata,
    tags,
    errors,
    progress,
    checkpoint,
  };
}

async function call(instance: HandlerInstance, job: Job, context: JobContext): Promise<AttemptResult> {
  const result: unknown = await instance.handle(job, context);
  return isJobOutcome(result) ? fromOutcome(result) : 'completed';
}

/** Whatever a handler threw after its time was over, that is why it failed. */
function withCause(timeout: JobTimeoutError, thrown: unknown): JobTimeoutError {
  return thrown === timeout ? timeout : new JobTimeoutError(timeout.timeoutMs, { cause: thrown });
}

/** Tells arguments that do not fit the definition from an error of the handler. */
class UnusableArgs extends Error {
  static is(error: unknown): error is UnusableArgs {
    try {
      return error instanceof UnusableArgs;
    } catch {
      // A handler may throw a revoked proxy, and that throws when it is asked what it is.
      return false;
    }
  }
}

async function checkedArgs(
  schema: NonNullable<DiscoveredHandler['definition']['schema']>,
  stored: unknown,
  kind: string,
): Promise<unknown> {
  try {
    return await validateArgs(schema, stored, kind);
  } catch (error) {
    throw error instanceof InvalidJobArgsError
      ? new UnusableArgs('unusable arguments', { cause: error })
      : error;
  }
}
