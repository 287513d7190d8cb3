export { defineJob } from './define-job.js';
export type { JobOptions, JobOptionsWithSchema } from './define-job.js';
export { describeError, MAX_ERROR_BYTES } from './describe-error.js';
export type { JobContext, TransactionalJobContext } from './job-context.js';
export { JOB_EVENTS } from './job-event.js';
export type { JobEvent, JobEventFilter, JobEventType } from './job-event.js';
export { JOB_EVENT_METADATA, OnJobEvent } from './on-job-event.decorator.js';
export type { JobEventSubscription } from './on-job-event.decorator.js';
export type { JobDefinition, JobInput, JobOutput, JobPriority } from './job-definition.js';
export type { JobHandlerFor, TransactionalJobHandlerFor } from './job-handler-for.js';
export { JOB_HANDLER_METADATA, JOB_HANDLER_OPTIONS_METADATA, JobHandler } from './job-handler.decorator.js';
export type { JobHandlerOptions } from './job-handler.decorator.js';
export type { Job, JobErrorRecord, JobOf, JobProgress } from './job.js';
export {
  AWA_CONTEXT_TYPE,
  DEFAULT_MAX_ARGS_BYTES,
  DEFAULT_MAX_ATTEMPTS,
  DEFAULT_PRIORITY,
  DEFAULT_QUEUE,
  MAX_ATTEMPTS_LIMIT,
  MAX_CHECKPOINT_BYTES,
  MAX_DELAY_MS,
  MAX_NAME_LENGTH,
  MAX_PROGRESS_MESSAGE_LENGTH,
  MAX_TAGS,
  MAX_TIMEOUT_MS,
} from './job.constants.js';
export type { JsonSafe, JsonValue, NotJson } from './json.js';
export { cancel, complete, fail, isJobOutcome, JobOutcome, retryAfter, snooze } from './outcomes.js';
export type { JobOutcomeType } from './outcomes.js';
export { retryDelayMs } from './retry-policy.js';
export type { RetryBackoff, RetryPolicy } from './retry-policy.js';
export { storableText } from './storable-text.js';
export { frozenUnique, UNIQUE_STATES, uniqueProblems } from './unique-options.rules.js';
export type { UniqueOptions } from './unique-options.js';
export { parsePayload, payloadJson } from './job-payload.js';
export type { JobPayload } from './job-payload.js';
