export { type AwaModuleAsyncOptions, type AwaOptionsFactory, AwaModule } from './awa.module.js';
export * from './errors/index.js';
export {
  cancel,
  complete,
  defineJob,
  fail,
  type Job,
  type JobContext,
  type JobDefinition,
  type JobErrorRecord,
  JobHandler,
  type JobHandlerFor,
  type JobInput,
  type JobOf,
  type JobOptions,
  type JobOptionsWithSchema,
  JobOutcome,
  type JobOutcomeType,
  type JobOutput,
  type JobPriority,
  type JsonSafe,
  type JsonValue,
  type NotJson,
  retryAfter,
  type RetryBackoff,
  type RetryPolicy,
  snooze,
} from './jobs/index.js';
export { checkSchemaVersion, type MigrationTarget, runMigrations } from './migrate/run-migrations.js';
export type {
  AwaModuleOptions,
  QueueOptions,
  RetentionOptions,
  WorkerOptions,
} from './options/awa-module.options.js';
export type { DeadLetter } from './dlq/dead-letter.js';
export type { DeadLetterFilter, DeadLetterSelection, TransactionOptions } from './dlq/dead-letter-filter.js';
export {
  type BulkResult,
  type DeadLetterRetryOptions,
  DeadLetterService,
} from './dlq/dead-letter.service.js';
export type { ListPage, PageOptions } from './queue/cursor.js';
export type { EnqueueOptions, PgClientLike } from './queue/enqueue-options.js';
export type { JobFilter } from './queue/job-filter.js';
export type { JobSnapshot } from './queue/job-snapshot.js';
export { type EnqueuedJob, QueueService } from './queue/queue.service.js';
export type { JobCount } from './storage/operations/count-jobs.js';
export { JOB_STATES, type JobState } from './storage/job-state.js';
