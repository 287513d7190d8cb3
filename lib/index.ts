export type { AdminNote } from './admin/admin-note.js';
export { QueueAdminService } from './admin/queue-admin.service.js';
export { type AwaModuleAsyncOptions, type AwaOptionsFactory, AwaModule } from './awa.module.js';
export * from './errors/index.js';
export {
  AWA_CONTEXT_TYPE,
  cancel,
  complete,
  defineJob,
  fail,
  type Job,
  type JobContext,
  type JobDefinition,
  JOB_EVENTS,
  type JobErrorRecord,
  type JobEvent,
  type JobEventFilter,
  type JobEventType,
  JobHandler,
  type JobHandlerFor,
  type JobHandlerOptions,
  type JobInput,
  type JobOf,
  type JobOptions,
  type JobOptionsWithSchema,
  JobOutcome,
  type JobOutcomeType,
  type JobOutput,
  type JobPriority,
  type JobProgress,
  type JsonSafe,
  type JsonValue,
  type NotJson,
  OnJobEvent,
  retryAfter,
  type RetryBackoff,
  type RetryPolicy,
  snooze,
  type TransactionalJobContext,
  type TransactionalJobHandlerFor,
  UNIQUE_STATES,
  type UniqueOptions,
} from './jobs/index.js';
export { checkSchemaVersion, type MigrationTarget, runMigrations } from './migrate/run-migrations.js';
export type {
  AwaModuleOptions,
  QueueOptions,
  RateLimitOptions,
  RetentionOptions,
  WorkerOptions,
} from './options/awa-module.options.js';
export type { DeadLetter } from './dlq/dead-letter.js';
export type { DeadLetterFilter, DeadLetterSelection } from './dlq/dead-letter-filter.js';
export {
  type BulkResult,
  type DeadLetterRetryOptions,
  type DeadLetterRetryResult,
  DeadLetterService,
} from './dlq/dead-letter.service.js';
export type { CancelOptions } from './queue/cancel-options.js';
export type { CancelUniqueOptions } from './queue/cancel-unique-options.js';
export type { ListPage, PageOptions } from './queue/cursor.js';
export type { EnqueueOptions } from './queue/enqueue-options.js';
export type { JobFilter } from './queue/job-filter.js';
export type { JobSnapshot } from './queue/job-snapshot.js';
export { type EnqueuedJob, QueueService } from './queue/queue.service.js';
export type { PgClientLike, TransactionOptions } from './queue/transaction-options.js';
export { JOB_STATES, type JobState } from './storage/job-state.js';
export type { CancelledJob } from './storage/operations/cancel-jobs.js';
export type { JobCount } from './storage/operations/count-jobs.js';
export type { QueueClaimerLease, QueueInfo } from './storage/queue-info.js';
export { AwaWorker } from './worker/awa-worker.js';
export type { WorkerState } from './worker/worker-control.js';
