import type { DiscoveryService } from '@nestjs/core';
import type { JobDefinition } from '../jobs/index.js';

/** Nest's record of a provider: its token, its class, its instance and the module it belongs to. */
export type ProviderWrapper = ReturnType<DiscoveryService['getProviders']>[number];

/** A provider whose class is decorated with `@JobHandler()`. */
export interface DiscoveredHandler {
  readonly definition: JobDefinition;
  readonly wrapper: ProviderWrapper;
  /** For messages. */
  readonly className: string;
  /** Name of the module that lists the provider, for messages. */
  readonly moduleName: string;
  /**
   * Whether `wrapper.instance` is the one to call. Otherwise the provider, or something it depends on, is
   * request-scoped or transient: `wrapper.instance` is an empty shell, and each job needs an instance of its own.
   */
  readonly isStatic: boolean;
  /** Whether it runs in a transaction of the application's. */
  readonly isTransactional: boolean;
  /** Whether it has guards, interceptors or filters of its own, on the class or on `handle`. */
  readonly isEnhanced: boolean;
  /** Whether it has pipes, which jobs do not pass through. */
  readonly hasPipes: boolean;
  /** Whether a `handle` method was found on it. */
  readonly hasHandle: boolean;
}
