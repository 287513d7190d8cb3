import type { JobDefinition } from '../jobs/index.js';
import type { DiscoveredHandler } from './discovered-handler.js';

/** Every reason, as a sentence each, why an application cannot start with these handlers. */
export function handlerProblems(
  found: readonly DiscoveredHandler[],
  knownQueues: readonly string[],
  expected: readonly JobDefinition[],
  hasDataSource = true,
): string[] {
  return [
    ...withoutHandle(found),
    ...withPipes(found),
    ...(hasDataSource ? [] : withoutDataSource(found)),
    ...competing(found),
    ...redefined(found, expected),
    ...onUnknownQueue(found, knownQueues),
    ...missing(found, expected),
  ];
}

function withoutHandle(found: readonly DiscoveredHandler[]): string[] {
  return found
    .filter(({ hasHandle }) => !hasHandle)
    .map(
      (handler) =>
        `${place(handler)} is decorated with @JobHandler() for ${kindOf(handler)} but has no method "handle": add it.`,
    );
}

function withPipes(found: readonly DiscoveredHandler[]): string[] {
  return found
    .filter(({ hasPipes }) => hasPipes)
    .map(
      (handler) =>
        `${place(handler)} is decorated with @UsePipes(), which does nothing to jobs: give ${kindOf(handler)} a schema instead.`,
    );
}

function withoutDataSource(found: readonly DiscoveredHandler[]): string[] {
  return found
    .filter(({ isTransactional }) => isTransactional)
    .map(
      (handler) =>
        `${place(handler)} is transactional, but AwaModule has the option "url": let it live in the application's ` +
        'TypeORM DataSource (option "dataSource"), or use ctx.completeIn().',
    );
}

function competing(found: readonly DiscoveredHandler[]): string[] {
  return groups(found, ({ definition }) => definition.kind)
    .filter((handlers) => handlers.length > 1)
    .map((handlers) => {
      const [first] = handlers;
      const sameClass = handlers.every(({ className }) => className === first.className);
      const advice = sameClass
        ? 'list the class in one module, and import that module where it is needed'
        : 'keep one of them';
      return `Job kind "${first.definition.kind}" has ${handlers.length} handlers, ${handlers.map(place).join(' and ')}: ${advice}.`;
    });
}

function redefined(found: readonly DiscoveredHandler[], expected: readonly JobDefinition[]): string[] {
  const definitions = new Set([...found.map(({ definition }) => definition), ...expected]);
  return groups([...definitions], ({ kind }) => kind)
    .filter((same) => same.length > 1)
    .map(
      ([{ kind }, ...others]) =>
        `Job kind "${kind}" is defined ${others.length + 1} times: call defineJob("${kind}") once and import the result.`,
    );
}

function onUnknownQueue(found: readonly DiscoveredHandler[], knownQueues: readonly string[]): string[] {
  const known = knownQueues.length === 0 ? 'none' : knownQueues.map((queue) => `"${queue}"`).join(', ');
  return found
    .filter(({ definition }) => !knownQueues.includes(definition.queue))
    .map(
      (handler) =>
        `${place(handler)} handles ${kindOf(handler)} of queue "${handler.definition.queue}", which is not configured ` +
        `(configured: ${known}): add the queue to the module option "queues", or correct the definition.`,
    );
}

function missing(found: readonly DiscoveredHandler[], expected: readonly JobDefinition[]): string[] {
  const handled = new Set(found.map(({ definition }) => definition.kind));
  const unhandled = new Set(expected.map(({ kind }) => kind).filter((kind) => !handled.has(kind)));
  return [...unhandled].map(
    (kind) =>
      `Job kind "${kind}" has no handler: add the class decorated with @JobHandler() for it to the providers of a ` +
      'module, or take it out of the module option "jobs".',
  );
}

function place({ className, moduleName }: DiscoveredHandler): string {
  return `${className} (in ${moduleName})`;
}

function kindOf({ definition }: DiscoveredHandler): string {
  return `job kind "${definition.kind}"`;
}

/** Items with the same key, together, in the order of their first. */
function groups<T>(items: readonly T[], key: (item: T) => string): [T, ...T[]][] {
  const byKey = new Map<string, [T, ...T[]]>();
  for (const item of items) {
    const group = byKey.get(key(item));
    if (group === undefined) byKey.set(key(item), [item]);
    else group.push(item);
  }
  return [...byKey.values()];
}
