import type { JobDefinition } from './job-definition.js';

/** What {@link OnJobEvent} can listen to. @publicApi */
export const JOB_EVENTS = [
  'started',
  'completed',
  'retried',
  'failed',
  'exhausted',
  'cancelled',
  'snoozed',
  'released',
  'rescued',
] as const;

/**
 * What became of an attempt in this process. An attempt that ends is exactly one of these:
 *
 * - `completed`: it succeeded
 * - `retried`: it failed, and the job will be tried again
 * - `exhausted`: it failed, and was the last one
 * - `failed`: it has ended the job as failed: `fail()`, unusable arguments
 * - `cancelled`: by `cancel()`, or by somebody while it ran
 * - `snoozed`: by `snooze()`, or since no handler here knows the kind
 * - `released`: handed back when the process stopped
 *
 * `rescued` is told in the process that leads, of an attempt that it has taken from a process that is gone: the job is tried again, or
 * has failed.
 *
 * `started` is told before the handler is called. Nothing is told of an attempt that turned out to be somebody else's.
 *
 * @publicApi
 */
export type JobEventType = (typeof JOB_EVENTS)[number];

/** What a listener is told. @publicApi */
export interface JobEvent {
  readonly type: JobEventType;
  /** Decimal string. */
  readonly jobId: string;
  readonly kind: string;
  readonly queue: string;
  /** Which attempt it was; the first is 1. */
  readonly attempt: number;
  readonly maxAttempts: number;
  readonly runLease: number;
  /** The job's state with it. */
  readonly state: 'running' | 'completed' | 'retryable' | 'failed' | 'cancelled' | 'scheduled' | 'available';
  /** Why it did not succeed, as it is kept with the job; undefined when nothing was said. */
  readonly error: string | undefined;
  /** Milliseconds between the time at which the job was due and its claim, by the database's clock. */
  readonly waitMs: number;
  /** Milliseconds that the attempt took in this process, also when its handler goes on; 0 when it has just started, or was never begun. */
  readonly durationMs: number;
}

/** Which events of a type a listener is told; all of them without. @publicApi */
export interface JobEventFilter {
  /** Of jobs of this queue. */
  readonly queue?: string;
  /** Of jobs of this kind. */
  readonly kind?: string | JobDefinition;
}
