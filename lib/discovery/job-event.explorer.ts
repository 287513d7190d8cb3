import { Injectable } from '@nestjs/common';
import { DiscoveryService, MetadataScanner } from '@nestjs/core';
import { JOB_EVENT_METADATA, type JobEvent, type JobEventSubscription } from '../jobs/index.js';
import type { ProviderWrapper } from './discovered-handler.js';

/** A method that listens to job events. */
export interface DiscoveredListener extends JobEventSubscription {
  /** `Class.method`, for messages. */
  readonly name: string;
  readonly call: (event: JobEvent) => unknown;
}

/** Finds the methods with `@OnJobEvent()` among all providers of the application. */
@Injectable()
export class JobEventExplorer {
  constructor(
    private readonly discovery: DiscoveryService,
    private readonly scanner: MetadataScanner,
  ) {}

  /** @returns the listeners, and a sentence for each that cannot be one */
  explore(): { readonly listeners: readonly DiscoveredListener[]; readonly problems: readonly string[] } {
    const listeners: DiscoveredListener[] = [];
    const problems: string[] = [];
    const seen = new Set<unknown>();
    for (const wrapper of this.discovery.getProviders()) {
      const found = this.inspect(wrapper);
      if (found.length === 0 || seen.has(wrapper.instance)) continue;
      if (wrapper.isDependencyTreeStatic() && !wrapper.isTransient) {
        seen.add(wrapper.instance);
        listeners.push(...found);
      } else {
        problems.push(
          `${found[0]?.name} is decorated with @OnJobEvent(), but its class, or something it depends on, is request-scoped or ` +
            'transient, and events belong to no request: move the method to a provider of the default scope.',
        );
      }
    }
    return { listeners, problems };
  }

  private inspect({ instance, isAlias }: ProviderWrapper): DiscoveredListener[] {
    const provider: unknown = instance;
    if (isAlias || typeof provider !== 'object' || provider === null) return [];
    const prototype = Object.getPrototypeOf(provider) as object | null;
    if (prototype === null || prototype === Object.prototype) return [];
    return this.scanner.getAllMethodNames(prototype).flatMap((key) => {
      // By the prototype: what reads a property of an instance may be a getter with effects.
      const method = (prototype as Record<string, unknown>)[key];
      const subscriptions: unknown =
        typeof method === 'function' && Reflect.getMetadata(JOB_EVENT_METADATA, method);
      if (!Array.isArray(subscriptions)) return [];
      return (subscriptions as JobEventSubscription[]).map((subscription) => ({
        ...subscription,
        name: `${prototype.constructor.name}.${key}`,
        call: (event: JobEvent) => (provider as Record<string, (event: JobEvent) => unknown>)[key]?.(event),
      }));
    });
  }
}
