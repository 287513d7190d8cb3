import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { RetryPolicy } from './retry-policy.js';
import type { UniqueOptions } from './unique-options.js';

/**
 * How urgent a job is: 1 first, 4 last.
 *
 * @publicApi
 */
export type JobPriority = 1 | 2 | 3 | 4;

/**
 * A kind of job: its name, its settings and the types of its arguments. Made by `defineJob()`, shared by the
 * code that enqueues and the class that handles. Immutable.
 *
 * @typeParam Input what `enqueue` takes, and what is stored as JSON
 * @typeParam Output what the handler gets: the schema's output for the stored input; `Input` without a schema
 *
 * @publicApi
 */
export interface JobDefinition<Input = unknown, Output = unknown, Kind extends string = string> {
  /** Name of the kind, unique in the application. Stored with each job: renaming it orphans waiting jobs. */
  readonly kind: Kind;
  /** Queue that its jobs go to unless an enqueue says otherwise. */
  readonly queue: string;
  /** How many of its jobs one process runs at a time; undefined: as many as its queue has workers. */
  readonly concurrency: number | undefined;
  /** Attempts a job gets before it counts as failed, 1 to 1000. */
  readonly maxAttempts: number;
  /** Priority its jobs have unless an enqueue says otherwise. */
  readonly priority: JobPriority;
  /** When a failed attempt is tried again; undefined for the default back-off. */
  readonly retry: RetryPolicy | undefined;
  /** Checks the arguments at enqueue and again before work; undefined for unchecked arguments. */
  readonly schema: StandardSchemaV1<Input, Output> | undefined;
  /** How long an attempt may take, in milliseconds; 0: for ever; undefined: what its queue says. */
  readonly timeout: number | undefined;
  /** Tags that each of its jobs carries. */
  readonly tags: readonly string[];
  /** What makes its jobs unique unless an enqueue says otherwise; undefined: nothing does. */
  readonly unique: UniqueOptions | undefined;
}

/**
 * What `enqueue` takes for a definition.
 *
 * @publicApi
 */
export type JobInput<Definition extends JobDefinition> =
  Definition extends JobDefinition<infer Input> ? Input : never;

/**
 * What the handler of a definition gets as `job.args`.
 *
 * @publicApi
 */
export type JobOutput<Definition extends JobDefinition> =
  Definition extends JobDefinition<unknown, infer Output> ? Output : never;
