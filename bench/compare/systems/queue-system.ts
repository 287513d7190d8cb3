import type { Environment } from './environment.js';
import type { Payload } from './payload.js';
import type { Work } from './work.js';

/**
 * One queue system, as producer and workers of a process use it.
 *
 * Calls come in this order: `install` and, after the preload, `announce` (instance 0), or `isAnnounced` until it says true (all others);
 * `connect` before the first `enqueue` and before `startWorkers`, which is left out in a process without; `stop`.
 */
export interface QueueSystem {
  /** Of the package that is installed. */
  readonly version: string;
  /** What a reader has to set to do the same. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** How many jobs the bulk call is given at once when there are plenty. */
  readonly preloadBatch: number;

  /** Makes schema and queues; legal when they are there. */
  install(): Promise<void>;
  /** Says to the other instances that they may begin. */
  announce(): Promise<void>;
  isAnnounced(): Promise<boolean>;

  connect(): Promise<void>;
  /** With the system's call for a single job when there is one payload, else with its bulk call. Committed when it resolves. */
  enqueue(queue: string, payloads: readonly Payload[]): Promise<void>;
  /** Resolves when jobs may be taken. */
  startWorkers(): Promise<void>;
  /** Resolves when handlers have ended and their results are stored. Legal whatever was started. */
  stop(): Promise<void>;
}

/** What a system is made from. */
export interface SystemOptions {
  readonly environment: Environment;
  readonly queues: readonly string[];
  readonly work: Work;
}

/** How many handlers each queue gets: the workers are shared out evenly, and none is left without. */
export function workersPerQueue({ environment, queues }: SystemOptions): number {
  return Math.max(1, Math.floor(environment.workers / queues.length));
}

/** @throws Error when the runner has not said where the database is */
export function databaseUrl({ environment }: SystemOptions): string {
  const { databaseUrl: url } = environment;
  if (url === undefined) throw new Error('DATABASE_URL is not set');
  return url;
}
