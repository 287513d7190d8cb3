import { type ContextId, ContextIdFactory, type ModuleRef } from '@nestjs/core';
import type { DiscoveredHandler } from '../discovery/discovered-handler.js';
import type { Job, JobContext } from '../jobs/index.js';

/** What a handler's instance is called with. */
export interface HandlerInstance {
  handle(job: Job, context: JobContext): unknown;
}

/**
 * The context in which the providers of one job are made: a new one, or, of durable providers, the one that the application's strategy
 * (`ContextIdFactory.apply`) attaches the job to. The job is its REQUEST.
 */
export function contextOf(moduleRef: ModuleRef, job: Job): ContextId {
  const contextId = ContextIdFactory.getByRequest(job);
  moduleRef.registerRequestByContextId(job, contextId);
  return contextId;
}

/** The instance that handles all jobs: the provider itself. */
export function staticInstance(handler: DiscoveredHandler): HandlerInstance {
  return handler.wrapper.instance as HandlerInstance;
}

/** The instance that handles a job when the handler is request-scoped: the one of the job's context. */
export function resolveHandler(
  moduleRef: ModuleRef,
  handler: DiscoveredHandler,
  contextId: ContextId,
): Promise<HandlerInstance> {
  return moduleRef.resolve<HandlerInstance>(handler.wrapper.token as never, contextId, { strict: false });
}
