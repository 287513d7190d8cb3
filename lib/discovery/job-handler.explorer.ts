import { Injectable } from '@nestjs/common';
import {
  EXCEPTION_FILTERS_METADATA,
  GUARDS_METADATA,
  INTERCEPTORS_METADATA,
  PIPES_METADATA,
} from '@nestjs/common/constants.js';
import { DiscoveryService } from '@nestjs/core';
import type { DiscoveredHandler, ProviderWrapper } from './discovered-handler.js';
import { JobHandlerMetadataAccessor } from './job-handler-metadata.accessor.js';

const ENHANCERS = [GUARDS_METADATA, INTERCEPTORS_METADATA, EXCEPTION_FILTERS_METADATA];

/** Finds the job handlers among all providers of the application. Collects only: `HandlerRegistry` judges. */
@Injectable()
export class JobHandlerExplorer {
  constructor(
    private readonly discovery: DiscoveryService,
    private readonly metadata: JobHandlerMetadataAccessor,
  ) {}

  /** Call it when all modules have been initialised: before that, factories may not have run yet. */
  explore(): DiscoveredHandler[] {
    const instances = new Set<unknown>();
    const found: DiscoveredHandler[] = [];
    for (const wrapper of this.discovery.getProviders()) {
      // `useExisting`: the provider that it stands for is found under its own token.
      if (wrapper.isAlias) continue;
      const handler = this.inspect(wrapper);
      if (handler === undefined) continue;
      // A factory may hand out what another provider holds, which is an alias in all but name.
      if (handler.isStatic && instances.has(wrapper.instance)) continue;
      if (typeof wrapper.instance === 'object') instances.add(wrapper.instance);
      found.push(handler);
    }
    return found;
  }

  private inspect(wrapper: ProviderWrapper): DiscoveredHandler | undefined {
    const instance: unknown = wrapper.instance;
    // `metatype` is the class, or the factory of `useFactory`, or null for `useValue`. The token comes last: a
    // test that overrides a handler with a value leaves the decorated class there only.
    for (const candidate of [wrapper.metatype, constructorOf(instance), wrapper.token]) {
      const definition = this.metadata.getDefinition(candidate);
      if (definition === undefined || typeof candidate !== 'function') continue;
      const isStatic = wrapper.isDependencyTreeStatic() && !wrapper.isTransient;
      return {
        definition,
        wrapper,
        className: candidate.name,
        moduleName: wrapper.host?.name ?? '(unknown module)',
        isStatic,
        isTransactional: this.metadata.getOptions(candidate as () => unknown).transactional === true,
        // What overrides a handler in a test has none of its enhancers.
        isEnhanced: ENHANCERS.some((key) => isMarked(key, isStatic ? instance : candidate.prototype)),
        hasPipes: isMarked(PIPES_METADATA, isStatic ? instance : candidate.prototype),
        hasHandle: hasHandle(isStatic ? instance : candidate.prototype),
      };
    }
    return undefined;
  }
}

function constructorOf(instance: unknown): unknown {
  return typeof instance === 'object' && instance !== null ? instance.constructor : undefined;
}

function hasHandle(value: unknown): boolean {
  return (
    typeof value === 'object' && value !== null && 'handle' in value && typeof value.handle === 'function'
  );
}

/** Whether the class of an object, or its method `handle`, carries the metadata of an enhancer. */
function isMarked(key: string, value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { constructor, handle } = value as { constructor?: unknown; handle?: unknown };
  return [constructor, handle].some(
    (target) => typeof target === 'function' && Reflect.hasMetadata(key, target),
  );
}
