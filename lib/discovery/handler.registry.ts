import { BootError } from '../errors/index.js';
import type { JobDefinition } from '../jobs/index.js';
import type { DiscoveredHandler } from './discovered-handler.js';
import { handlerProblems } from './handler-problems.js';

/** The handlers of this process, by kind. Complete and free of contradictions once it exists. */
export class HandlerRegistry {
  private constructor(private readonly handlers: ReadonlyMap<string, DiscoveredHandler>) {}

  /**
   * Checks what the explorer has found and puts it in order.
   *
   * @param found the job handlers among the application's providers
   * @param knownQueues names of the configured queues
   * @param expected definitions that must have a handler here (module option `jobs`, when the worker is on)
   * @param hasDataSource whether the library lives in a DataSource of the application's, which transactional handlers need
   * @throws BootError listing every problem
   *
   * @example
   * ```ts
   * const registry = HandlerRegistry.build(explorer.explore(), Object.keys(options.queues), options.jobs);
   * ```
   */
  static build(
    found: readonly DiscoveredHandler[],
    knownQueues: readonly string[],
    expected: readonly JobDefinition[] = [],
    hasDataSource = true,
  ): HandlerRegistry {
    const problems = handlerProblems(found, knownQueues, expected, hasDataSource);
    if (problems.length > 0) throw new BootError(problems);
    return new HandlerRegistry(new Map(found.map((handler) => [handler.definition.kind, handler])));
  }

  /** The handler of a kind, or undefined when this process has none. */
  get(kind: string): DiscoveredHandler | undefined {
    return this.handlers.get(kind);
  }

  /** The kinds that this process can work on, in the order in which their handlers were found. */
  kinds(): string[] {
    return [...this.handlers.keys()];
  }
}
