import type { DataSource, EntityManager, QueryRunner } from 'typeorm';
import type { JobDefinition } from '../jobs/index.js';

/** So many jobs in so many milliseconds. @publicApi */
export interface RateLimitOptions {
  /** How many jobs start in `perMs`; 1 to 1,000,000. */
  readonly max: number;
  /** Milliseconds; 1 to a day. */
  readonly perMs: number;
  /** How many may start at once after a quiet time; 1 to 1,000,000. Default: those of a second, at least 1. */
  readonly burst?: number;
}

/**
 * Settings of one queue. `aging` and `shards` are stored with the queue, for all processes; a process that leaves one out leaves
 * it as it is stored.
 *
 * @publicApi
 */
export interface QueueOptions {
  /** How many of its jobs one process runs at a time; 1 to 10,000. Default 50, with `worker.globalMaxWorkers` as many as that. */
  readonly maxWorkers?: number;
  /** With `worker.globalMaxWorkers`: workers that are kept for this queue; 0 to 10,000. Default 0. */
  readonly minWorkers?: number;
  /** With `worker.globalMaxWorkers`: its part of the workers that are kept for none, against the other queues with work; 1 to 1,000. Default 1. */
  readonly weight?: number;
  /**
   * How many of its jobs one process starts in a time: any `perMs` sees at most `max + burst`. Each process has its own; an attempt
   * that is retried counts again.
   */
  readonly rateLimit?: RateLimitOptions;
  /**
   * Whether a process may claim a few of its jobs ahead of a free worker, when they are short. Default `true`; never with one worker, a
   * `rateLimit` or `worker.globalMaxWorkers`.
   */
  readonly prefetch?: boolean;
  /**
   * A job that waits so many milliseconds is claimed as if it were one priority more urgent, and so on for each further step; 1,000
   * to a day, 0: never. 60,000 at first.
   */
  readonly aging?: number;
  /**
   * Number of lanes side by side, for a queue with more traffic than one takes; 1 to 64, 1 at first. More than one gives up the order of
   * the queue: only jobs with the same `orderingKey` start in the order of their enqueues.
   */
  readonly shards?: number;
  /**
   * Whether its jobs that fail for good become dead letters: held until they are retried or purged, or for `retention`
   * milliseconds (1,000 to ten years, default 30 days). The database keeps the answer for all processes: `undefined` leaves it as
   * it is, which for a new queue is `false`.
   */
  readonly deadLetter?: boolean | { readonly retention?: number };
  /**
   * How long an attempt of its jobs may take, in milliseconds, up to 24 days; 0: for ever, which is the default. `timeout` of a
   * job's definition goes before it. It holds for the attempts of this process.
   */
  readonly timeout?: number;
}

/** Settings of the worker of a process; all times in milliseconds. @publicApi */
export interface WorkerOptions {
  /** Whether it starts when the application is up; otherwise `AwaWorker.start()` does it. Default `true`. */
  readonly autoStart?: boolean;
  /** The queues this process works on; all of `queues` by default. */
  readonly queues?: readonly string[];
  /**
   * How many jobs this process runs at a time, of all its queues together; 1 to 10,000. The queues share them by `minWorkers` and
   * `weight`. Default: each queue has `maxWorkers` of its own.
   */
  readonly globalMaxWorkers?: number;
  /**
   * How often to look for work when nothing announces it; 10 to 60,000. Default 200, backing off when idle to ten times that, or to 25
   * times while notifications are known to arrive.
   */
  readonly pollIntervalMs?: number;
  /** How often the process proves that it lives; 100 to 60,000. Default 5,000. */
  readonly heartbeatIntervalMs?: number;
  /** Without a heartbeat for this long, others take over its attempts. At least three intervals. Default three intervals. */
  readonly heartbeatStaleMs?: number;
  /**
   * Heartbeats come from a thread, and so go on while a handler blocks the event loop. After so many milliseconds of that they
   * end: a process that hangs loses its jobs to others, `heartbeatStaleMs` later. 1,000 to 3,600,000. Default 60,000.
   */
  readonly maxBlockedLoopMs?: number;
  /** How long a shutdown waits for handlers before it aborts them and hands their jobs back; 0 to 3,600,000. Default 20,000. */
  readonly shutdownTimeoutMs?: number;
}

/** How long jobs that have ended can be read. @publicApi */
export interface RetentionOptions {
  /** Completed jobs, in milliseconds; 1,000 to a year. Default 24 hours. */
  readonly completed?: number;
  /** Failed and cancelled jobs, in milliseconds; 1,000 to a year. Default 72 hours. */
  readonly failed?: number;
  /**
   * Completed jobs go earlier when they and the waiting ones take more bytes than this, and likewise failed and cancelled ones;
   * at least 64 MiB. Default 16 GiB. Jobs that wait or run are never dropped, whatever they take.
   */
  readonly maxBytes?: number;
}

/**
 * Options of {@link AwaModule.forRoot}.
 *
 * @publicApi
 */
export interface AwaModuleOptions {
  /** Connection string, for an application without TypeORM DataSource. */
  readonly url?: string;
  /** The TypeORM DataSource to live in, or the name it has in Nest. Default: the unnamed one, unless `url` is given. */
  readonly dataSource?: string | DataSource;
  /**
   * Connection string past a transaction pooler, for the worker's own four or five connections; `url` or `dataSource` may go through
   * the pooler. Without it a worker behind one works, but polls, and has no leader. Default: as `url` or `dataSource`.
   */
  readonly directUrl?: string;
  /**
   * The transaction that surrounds the caller, if there is one: asked at each call of `QueueService` that writes and is given no
   * transaction itself. What is not in an open transaction counts as none. For nestjs-cls and the like; see docs/nest.md.
   *
   * @example transaction: () => transactionHost.tx
   */
  readonly transaction?: () => EntityManager | QueryRunner | undefined;
  /** Schema of the library's tables. Default `awa`. */
  readonly schema?: string;
  /**
   * What to do about the schema at boot: `run` brings it up to date (needs the right to create), `check` refuses to start
   * when it is not, `off` does not look. Default `check`.
   */
  readonly migrate?: 'run' | 'check' | 'off';
  /** How long boot waits for a database that is not there, in milliseconds; 0: fail at once. Default 30,000. */
  readonly connectRetryMs?: number;
  /** The application's queues. Default: one, named `default`. */
  readonly queues?: Readonly<Record<string, QueueOptions>>;
  /**
   * Most processes that claim from one queue at a time while it is hot; 1 to 64. It limits who looks for work: with the number of
   * processes it is off. Stored with this process's queues, for all processes; left out, it stays as it is stored: 4 at first.
   */
  readonly maxClaimers?: number;
  /** Definitions that must have a handler in this process; boot fails when one has not. */
  readonly jobs?: readonly JobDefinition[];
  /** Whether this process works on jobs, and how; `false` for one that only enqueues. Default `true`. */
  readonly worker?: boolean | WorkerOptions;
  /** How long ended jobs are kept. All processes should agree: whichever looks first reclaims. */
  readonly retention?: RetentionOptions;
  /** Largest arguments of a job as UTF-8 JSON, in bytes; 1 to 64 MiB. Default 1 MiB. */
  readonly maxArgsBytes?: number;
}
