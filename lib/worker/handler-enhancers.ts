import type { CanActivate, NestInterceptor } from '@nestjs/common';
import type { ContextId, ModulesContainer } from '@nestjs/core';
import { ExternalExceptionFilterContext } from '@nestjs/core/exceptions/external-exception-filter-context.js';
import {
  ExecutionContextHost,
  GuardsConsumer,
  GuardsContextCreator,
  InterceptorsConsumer,
  InterceptorsContextCreator,
} from '@nestjs/core/internal';
import { isObservable, lastValueFrom } from 'rxjs';
import type { DiscoveredHandler } from '../discovery/discovered-handler.js';
import {
  AWA_CONTEXT_TYPE,
  fail,
  isJobOutcome,
  type Job,
  type JobContext,
  type JobOutcome,
} from '../jobs/index.js';
import type { HandlerInstance } from './handler-resolver.js';

type Container = ConstructorParameters<typeof GuardsContextCreator>[0];
type Callback = (...args: unknown[]) => unknown;
type FiltersCallback = Parameters<ExternalExceptionFilterContext['create']>[1];
type Filters = ReturnType<ExternalExceptionFilterContext['create']>;

/**
 * Finds the guards, interceptors and filters of handlers. Those of the handler only: global ones are made for requests, and one that
 * does not expect a job would fail them all (hybrid applications do not hand theirs on to microservices either).
 *
 * Made of parts that Nest does not call public (the same in 12.0.0 and 12.5.1: those of `internal`, which its own packages share, and
 * one file), since the public one, ExternalContextCreator, cannot do it: it adds the global ones, it does not tell a filter that
 * answers nothing from a handler that succeeds, nor a guard that refuses from a ForbiddenException of the handler's, it logs each
 * error that no filter is for, and it has no place for a transaction between the filters and the rest.
 */
export class HandlerEnhancers {
  private readonly guards: GuardsContextCreator;
  private readonly interceptors: InterceptorsContextCreator;
  private readonly filters: ExternalExceptionFilterContext;
  private readonly known = new WeakMap<DiscoveredHandler, EnhancedHandler>();

  constructor(modules: ModulesContainer) {
    // All that the creators use of it. Without the application's configuration they know no global enhancers.
    const container = { getModules: () => modules } as unknown as Container;
    this.guards = new GuardsContextCreator(container);
    this.interceptors = new InterceptorsContextCreator(container);
    this.filters = new ExternalExceptionFilterContext(container);
  }

  /** The instance with its enhancers around it; a request-scoped one with those of its context. */
  enhance(handler: DiscoveredHandler, instance: HandlerInstance, contextId?: ContextId): EnhancedHandler {
    const known = contextId === undefined ? this.known.get(handler) : undefined;
    if (known !== undefined) return known;
    const { wrapper } = handler;
    // What guards and interceptors read metadata from: the method as it is. It is called with its instance.
    // oxlint-disable-next-line typescript/unbound-method
    const callback = instance.handle as Callback;
    const place = [wrapper.host?.token ?? '', contextId, wrapper.id] as const;
    const enhanced = new EnhancedHandler(
      instance,
      callback,
      this.guards.create(instance, callback, ...place),
      this.interceptors.create(instance, callback, ...place),
      this.filters.create(instance, callback as FiltersCallback, ...place),
    );
    if (contextId === undefined) this.known.set(handler, enhanced);
    return enhanced;
  }
}

/** A handler that is called through its guards and interceptors, and whose errors its filters look at. */
export class EnhancedHandler implements HandlerInstance {
  private static readonly guardsConsumer = new GuardsConsumer();
  private static readonly interceptorsConsumer = new InterceptorsConsumer();

  constructor(
    private readonly instance: HandlerInstance,
    private readonly callback: Callback,
    private readonly guards: CanActivate[],
    private readonly interceptors: NestInterceptor[],
    private readonly filters: Filters,
  ) {}

  /** @throws a `fail` outcome when a guard refuses; what guards, interceptors and the handler throw */
  async handle(job: Job, context: JobContext): Promise<unknown> {
    const { instance, callback, guards, interceptors } = this;
    const args = [job, context];
    const { guardsConsumer, interceptorsConsumer } = EnhancedHandler;
    if (!(await guardsConsumer.tryActivate(guards, args, instance, callback, AWA_CONTEXT_TYPE))) {
      throw fail('a guard has refused the job');
    }
    const next = async () => callback.apply(instance, args);
    const result = await interceptorsConsumer.intercept(
      interceptors,
      args,
      instance,
      callback,
      next,
      AWA_CONTEXT_TYPE,
    );
    return isObservable(result) ? lastValueFrom(result, { defaultValue: undefined }) : result;
  }

  /**
   * What a filter makes of an error; undefined: it stays an error, since no filter is for it, or it did not answer with an outcome.
   *
   * @throws what the filter throws
   */
  async outcomeOf(error: unknown, job: Job, context: JobContext): Promise<JobOutcome | undefined> {
    const host = new ExecutionContextHost([job, context], this.instance.constructor as never, this.callback);
    host.setType(AWA_CONTEXT_TYPE);
    const answer: unknown = await this.filters.invokeCustomFilters(error, host);
    return isJobOutcome(answer) ? answer : undefined;
  }
}
