import type { JobDefinition, JobOutput, JobPriority } from './job-definition.js';
import type { JsonValue } from './json.js';

/**
 * One failed attempt in a job's history.
 *
 * @publicApi
 */
export interface JobErrorRecord {
  /** Which attempt failed; the first is 1. */
  readonly attempt: number;
  /** What it threw, as text of at most 8 KiB. */
  readonly error: string;
  /** When, as an ISO 8601 string. */
  readonly at: string;
  /** True when this failure ended the job. */
  readonly terminal?: boolean;
}

/**
 * How far an attempt has come, by its own account.
 *
 * @publicApi
 */
export interface JobProgress {
  /** 0 to 100, as it was given to `setProgress`. */
  readonly percent: number;
  readonly message: string | undefined;
  /** When it was stored. */
  readonly updatedAt: Date;
}

/**
 * A job as its handler gets it. A snapshot taken at claim time: it does not change during the attempt.
 *
 * @typeParam Output type of the arguments after the schema
 *
 * @publicApi
 */
export interface Job<Output = unknown> {
  /** Identifier, a decimal string (a 64-bit number in the database). */
  readonly id: string;
  readonly kind: string;
  readonly queue: string;
  readonly priority: JobPriority;
  /** The arguments, after the definition's schema. */
  readonly args: Output;
  /** Which attempt this is; the first is 1. */
  readonly attempt: number;
  /** How many attempts there will be at most. */
  readonly maxAttempts: number;
  /** Identifies this attempt among all runs of the job; each claim has a higher one. */
  readonly runLease: number;
  /** When the job was due. */
  readonly runAt: Date;
  /** When the job was enqueued. */
  readonly createdAt: Date;
  /** What the enqueue attached. */
  readonly metadata: Readonly<Record<string, JsonValue>>;
  readonly tags: readonly string[];
  /** Earlier failures, oldest first. */
  readonly errors: readonly JobErrorRecord[];
  /** How far an earlier attempt had come; null when none said so. */
  readonly progress: JobProgress | null;
  /**
   * What an earlier attempt has left behind by `checkpoint()`, to go on from there; null when none has. It may be of an older
   * release: check it before use.
   */
  readonly checkpoint: JsonValue;
}

/**
 * The job that the handler of a definition gets.
 *
 * @example
 * ```ts
 * async handle(job: JobOf<typeof SendEmail>) { await this.mailer.send(job.args.to); }
 * ```
 *
 * @publicApi
 */
export type JobOf<Definition extends JobDefinition> = Job<JobOutput<Definition>>;
