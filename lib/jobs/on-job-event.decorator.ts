import { InvalidOptionsError } from '../errors/index.js';
import { JOB_EVENTS, type JobEvent, type JobEventFilter, type JobEventType } from './job-event.js';
import { show, unknownKeyProblems } from './job-options.rules.js';

/** Where {@link OnJobEvent} leaves what a method listens to, an array of {@link JobEventSubscription}. */
export const JOB_EVENT_METADATA = 'awa:job_event';

/** What one decorator on a method says. */
export interface JobEventSubscription {
  readonly types: readonly JobEventType[];
  readonly queue: string | undefined;
  readonly kind: string | undefined;
}

/**
 * Makes a method of any provider a listener to what becomes of the attempts of this process. It is told after the commit, and at best:
 * not if the process dies in between, and not if it falls 5,000 events behind. What it throws is logged. For what must happen,
 * enqueue a job.
 *
 * @param type one or several; see {@link JobEventType}
 * @param filter only these; see {@link JobEventFilter}
 * @throws InvalidOptionsError listing every problem
 *
 * @example
 * ```ts
 * @OnJobEvent(['failed', 'exhausted'], { queue: 'email' })
 * async alert({ jobId, error }: JobEvent) {
 *   await this.pager.notify(`job ${jobId}: ${error}`);
 * }
 * ```
 *
 * @publicApi
 */
export function OnJobEvent(type: JobEventType | readonly JobEventType[], filter: JobEventFilter = {}) {
  const types = typeof type === 'string' ? [type] : type;
  const problems = unknownKeyProblems('@OnJobEvent()', filter, ['queue', 'kind']);
  const unknown = Array.isArray(types) ? types.filter((each) => !JOB_EVENTS.includes(each)) : [types];
  problems.push(
    ...unknown.map((each) => `there is no event ${show(each)}: there are ${JOB_EVENTS.join(', ')}`),
  );
  const { queue, kind } = filter;
  const kindName = typeof kind === 'object' ? kind.kind : kind;
  for (const [name, value] of Object.entries({ queue, kind: kindName })) {
    if (value !== undefined && typeof value !== 'string')
      problems.push(`${name} must be a name, not ${show(value)}`);
  }
  if (problems.length > 0) throw new InvalidOptionsError('@OnJobEvent()', problems);
  return <Method extends (event: JobEvent) => unknown>(
    target: object,
    key: string | symbol,
    descriptor: TypedPropertyDescriptor<Method>,
  ): void => {
    const method = descriptor.value as object;
    const before = (Reflect.getMetadata(JOB_EVENT_METADATA, method) ?? []) as JobEventSubscription[];
    Reflect.defineMetadata(JOB_EVENT_METADATA, [...before, { types, queue, kind: kindName }], method);
  };
}
