import type { ModuleRef } from '@nestjs/core';
import type { DiscoveredHandler } from '../discovery/discovered-handler.js';
import type { HandlerRegistry } from '../discovery/handler.registry.js';
import { InvalidJobArgsError, JobTimeoutError } from '../errors/index.js';
import {
  describeError,
  isJobOutcome,
  type Job,
  type JobOutcome,
  type JobPriority,
  parsePayload,
  retryDelayMs,
} from '../jobs/index.js';
import { validateArgs } from '../queue/validate-args.js';
import type { ClaimedJob } from '../storage/operations/claim-jobs.js';
import type { Settlement } from '../storage/operations/close-attempts.js';
import type { Attempt } from './attempt.js';
import { resolveHandler } from './handler-resolver.js';
import { UnknownKinds } from './unknown-kinds.js';

/** How an attempt ended: `completed`, or what to settle it with. */
export type AttemptResult = 'completed' | Omit<Settlement, 'job'>;

/** Runs one attempt: finds the handler, checks the arguments, calls it, and says how it ended. Never throws. */
export class Executor {
  private readonly unknownKinds = new UnknownKinds();

  constructor(
    private readonly registry: HandlerRegistry,
    private readonly moduleRef: ModuleRef,
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
      const job = await this.prepare(claimed, handler);
      const instance = await resolveHandler(this.moduleRef, handler, job);
      const result: unknown = await instance.handle(job, attempt.context);
      return isJobOutcome(result) ? fromOutcome(result) : 'completed';
    } catch (error) {
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

  private async prepare(claimed: ClaimedJob, { definition }: DiscoveredHandler): Promise<Job> {
    const stored: unknown = JSON.parse(claimed.argsJson);
    return {
      id: claimed.jobId,
      kind: claimed.kind,
      queue: claimed.queue,
      priority: claimed.priority as JobPriority,
      args:
        definition.schema === undefined ? stored : await checkedArgs(definition.schema, stored, claimed.kind),
      attempt: claimed.attempt,
      maxAttempts: claimed.maxAttempts,
      runLease: claimed.runLease,
      runAt: claimed.runAt,
      createdAt: claimed.createdAt,
      ...parsePayload(claimed.payloadJson),
    };
  }
}

/** The attempt is given back and the job available at once. */
export const RELEASED: AttemptResult = Object.freeze({
  outcome: 'released',
  error: undefined,
  delayMs: undefined,
});

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

function fromOutcome({ type, reason, delayMs }: JobOutcome): AttemptResult {
  switch (type) {
    case 'complete':
      return 'completed';
    case 'fail':
      return { outcome: 'failed', error: reason, delayMs: undefined };
    case 'cancel':
      return { outcome: 'cancelled', error: reason, delayMs: undefined };
    case 'retryAfter':
      return { outcome: 'error', error: reason ?? 'the handler asked for a retry', delayMs };
    case 'snooze':
      return { outcome: 'snoozed', error: undefined, delayMs };
    default:
      // Of another version of this package.
      return { outcome: 'error', error: `unknown outcome "${String(type)}"`, delayMs: undefined };
  }
}
