import { ContextIdFactory, type ModuleRef } from '@nestjs/core';
import type { DiscoveredHandler } from '../discovery/discovered-handler.js';
import type { Job, JobContext } from '../jobs/index.js';

/** What a handler's instance is called with. */
export interface HandlerInstance {
  handle(job: Job, context: JobContext): unknown;
}

/**
 * The instance that handles a job: the provider itself, or, when it is request-scoped, one made for this job, with the job
 * as its REQUEST.
 */
export async function resolveHandler(
  moduleRef: ModuleRef,
  handler: DiscoveredHandler,
  job: Job,
): Promise<HandlerInstance> {
  if (handler.isStatic) return handler.wrapper.instance as HandlerInstance;
  const contextId = ContextIdFactory.getByRequest(job);
  moduleRef.registerRequestByContextId(job, contextId);
  return moduleRef.resolve<HandlerInstance>(handler.wrapper.token as never, contextId, { strict: false });
}
