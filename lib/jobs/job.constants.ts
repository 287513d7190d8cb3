/** The queue of a job whose definition names none. @publicApi */
export const DEFAULT_QUEUE = 'default';

/** Attempts a job gets when its definition does not say. @publicApi */
export const DEFAULT_MAX_ATTEMPTS = 25;

/** Priority of a job whose definition does not say; 1 is the most urgent, 4 the least. @publicApi */
export const DEFAULT_PRIORITY = 2;

/** Largest number of attempts that may be asked for. @publicApi */
export const MAX_ATTEMPTS_LIMIT = 1000;

/** Longest queue name, job kind or tag, in UTF-16 units (what `string.length` counts). @publicApi */
export const MAX_NAME_LENGTH = 200;

/** Most tags a job can carry. @publicApi */
export const MAX_TAGS = 20;

/** Longest delay of a job, retry or snooze, in milliseconds: ten years. @publicApi */
export const MAX_DELAY_MS = 10 * 365 * 24 * 60 * 60 * 1000;

/** Longest time-out of an attempt, in milliseconds: 24 days, about what a timer of Node takes. @publicApi */
export const MAX_TIMEOUT_MS = 24 * 24 * 60 * 60 * 1000;

/** Largest checkpoint of an attempt as UTF-8 JSON, in bytes: 64 KiB. @publicApi */
export const MAX_CHECKPOINT_BYTES = 64 * 1024;

/** Longest message of a progress, in UTF-16 units (what `string.length` counts). @publicApi */
export const MAX_PROGRESS_MESSAGE_LENGTH = 1000;

/** Largest size of a job's arguments as UTF-8 JSON unless configured otherwise, in bytes: 1 MiB. @publicApi */
export const DEFAULT_MAX_ARGS_BYTES = 1024 * 1024;

/** What `getType()` of an ExecutionContext answers in guards, interceptors and filters of a job handler. @publicApi */
export const AWA_CONTEXT_TYPE = 'awa';
