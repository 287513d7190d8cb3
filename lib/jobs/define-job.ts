import type { StandardSchemaV1 } from '@standard-schema/spec';
import { InvalidOptionsError } from '../errors/index.js';
import type { JobDefinition, JobPriority } from './job-definition.js';
import {
  concurrencyProblems,
  maxAttemptsProblems,
  nameProblems,
  priorityProblems,
  show,
  tagsProblems,
  timeoutProblems,
  unknownKeyProblems,
} from './job-options.rules.js';
import { DEFAULT_MAX_ATTEMPTS, DEFAULT_PRIORITY, DEFAULT_QUEUE } from './job.constants.js';
import type { JsonSafe, JsonValue } from './json.js';
import { retryProblems } from './retry-policy.js';
import type { RetryPolicy } from './retry-policy.js';
import type { UniqueOptions } from './unique-options.js';
import { frozenUnique, uniqueProblems } from './unique-options.rules.js';

/**
 * Settings of a kind of job.
 *
 * @publicApi
 */
export interface JobOptions {
  /** Queue that its jobs go to; 1 to 200 characters. Default `'default'`. */
  readonly queue?: string;
  /** Attempts before a job counts as failed, 1 to 1000. Default 25. */
  readonly maxAttempts?: number;
  /** 1 (most urgent) to 4. Default 2. */
  readonly priority?: JobPriority;
  /** When a failed attempt is tried again. Default: 2, 4, 8 … seconds, up to 25 % more, at most 24 hours. */
  readonly retry?: RetryPolicy;
  /**
   * How long an attempt may take, in milliseconds, up to 24 days; 0: for ever, whatever its queue says. Then its `signal` is
   * aborted with a `JobTimeoutError`, and a second later the attempt has failed, whether or not the handler has returned.
   * Default: what its queue says.
   */
  readonly timeout?: number;
  /** Tags that each of its jobs carries: at most 20, each of 1 to 200 characters. */
  readonly tags?: readonly string[];
  /**
   * How many of its jobs one process runs at a time, in all queues together; 1 to 10,000. Default: as many as its queue has workers.
   * Jobs above it are in nobody's way, and use no attempts up. See docs/queues.md for what they cost.
   */
  readonly concurrency?: number;
  /** What makes its jobs unique. Default: nothing, each enqueue makes a job. */
  readonly unique?: UniqueOptions;
}

/**
 * Settings of a kind of job whose arguments are checked by a schema of any library that implements Standard
 * Schema (zod, valibot, arktype …), synchronous or not.
 *
 * @publicApi
 */
export interface JobOptionsWithSchema<Input, Output> extends JobOptions {
  /** Its input must survive JSON; what it turns that into for the handler is free. */
  readonly schema: StandardSchemaV1<Input, Output> & StandardSchemaV1<JsonSafe<Input>, unknown>;
}

/** Nothing to add when `Payload` survives JSON, otherwise a type that no kind satisfies and that says why. */
type SurvivesJson<Payload> = [Payload] extends [JsonSafe<Payload>]
  ? unknown
  : { readonly 'the payload does not survive JSON': JsonSafe<Payload> };

const KNOWN_OPTIONS: readonly string[] = [
  'queue',
  'concurrency',
  'maxAttempts',
  'priority',
  'retry',
  'schema',
  'tags',
  'timeout',
  'unique',
];

/**
 * Defines a kind of job. Export the result: the code that enqueues and the class decorated with
 * `@JobHandler()` both refer to it.
 *
 * What is stored is the *input*, as it was given to `enqueue`, once the schema has accepted what JSON makes of it.
 * The stored input goes through the schema again before each attempt, and the handler gets that output. So transforms
 * and defaults run at work, with the code of the release that works, and must accept what older releases have stored.
 *
 * @param kind name of the kind, 1 to 200 characters, unique in the application
 * @throws InvalidOptionsError listing every problem
 *
 * @example
 * ```ts
 * export const SendEmail = defineJob('send_email', {
 *   queue: 'email',
 *   schema: z.object({ to: z.email(), sendAfter: z.iso.datetime().transform((iso) => new Date(iso)) }),
 * });
 *
 * export const Reindex = defineJob<{ documentId: string }>('reindex', { maxAttempts: 5 });
 * ```
 *
 * @publicApi
 */
export function defineJob<Kind extends string, Input, Output>(
  kind: Kind,
  options: JobOptionsWithSchema<Input, Output>,
): JobDefinition<Input, Output, Kind>;
export function defineJob<Payload = JsonValue, Kind extends string = string>(
  kind: Kind & SurvivesJson<Payload>,
  options?: JobOptions & { readonly schema?: undefined },
): JobDefinition<Payload, Payload, Kind>;
export function defineJob(
  kind: string,
  options: JobOptions & { readonly schema?: StandardSchemaV1 } = {},
): JobDefinition {
  const {
    queue = DEFAULT_QUEUE,
    concurrency,
    maxAttempts = DEFAULT_MAX_ATTEMPTS,
    priority = DEFAULT_PRIORITY,
    retry,
    schema,
    tags = [],
    timeout,
    unique,
  } = options;
  const problems = [
    ...nameProblems('kind', kind),
    ...unknownKeyProblems('defineJob', options, KNOWN_OPTIONS),
    ...nameProblems('queue', queue),
    ...(concurrency === undefined ? [] : concurrencyProblems(concurrency)),
    ...maxAttemptsProblems(maxAttempts),
    ...priorityProblems(priority),
    ...(retry === undefined ? [] : retryProblems(retry)),
    ...(schema === undefined ? [] : schemaProblems(schema)),
    ...tagsProblems(tags),
    ...(timeout === undefined ? [] : timeoutProblems('timeout', timeout)),
    ...(unique === undefined ? [] : uniqueProblems(unique)),
  ];
  if (problems.length > 0) throw new InvalidOptionsError(`defineJob(${show(kind)})`, problems);
  return Object.freeze({
    kind,
    queue,
    concurrency,
    maxAttempts,
    priority,
    retry: typeof retry === 'object' ? Object.freeze({ ...retry }) : retry,
    schema,
    tags: Object.freeze([...new Set(tags)]),
    timeout,
    unique: unique === undefined ? undefined : frozenUnique(unique),
  });
}

function schemaProblems(schema: Partial<StandardSchemaV1> | null): string[] {
  return typeof schema?.['~standard']?.validate === 'function'
    ? []
    : ['schema must implement Standard Schema (zod, valibot, arktype and others do)'];
}
