import { DataSource } from 'typeorm';
import { InvalidOptionsError } from '../errors/index.js';
import { DEFAULT_MAX_ARGS_BYTES, DEFAULT_QUEUE, type JobDefinition } from '../jobs/index.js';
import { nameProblems, show, unknownKeyProblems } from '../jobs/job-options.rules.js';
import type { QueueRegistration } from '../storage/operations/queues.js';
import { type SchemaName, schemaName } from '../storage/schema-name.js';
import type {
  AwaModuleOptions,
  QueueOptions,
  RetentionOptions,
  WorkerOptions,
} from './awa-module.options.js';
import { poolProblems, queueLimits, type ResolvedQueueLimits } from './worker-limits.rules.js';

/** Worker settings with every default filled in. */
export interface ResolvedWorkerOptions {
  readonly autoStart: boolean;
  readonly queues: readonly ResolvedQueueLimits[];
  /** Undefined: each queue has workers of its own. */
  readonly globalMaxWorkers: number | undefined;
  readonly pollIntervalMs: number;
  readonly heartbeatIntervalMs: number;
  readonly heartbeatStaleMs: number;
  readonly maxBlockedLoopMs: number;
  readonly shutdownTimeoutMs: number;
}

/** Retention with every default filled in; milliseconds and bytes. */
export type ResolvedRetention = Required<RetentionOptions>;

/** Module options, checked, with every default filled in. */
export interface ResolvedAwaOptions {
  readonly transaction: AwaModuleOptions['transaction'];
  readonly schema: SchemaName;
  readonly directUrl: string | undefined;
  readonly migrate: 'run' | 'check' | 'off';
  readonly connectRetryMs: number;
  readonly queueNames: readonly string[];
  /** The same queues, with the settings to store. */
  readonly queues: readonly QueueRegistration[];
  readonly jobs: readonly JobDefinition[];
  /** Undefined: this process does not work on jobs. */
  readonly worker: ResolvedWorkerOptions | undefined;
  readonly retention: ResolvedRetention;
  readonly maxArgsBytes: number;
}

const OPTION_KEYS = Object.keys({
  url: true,
  dataSource: true,
  directUrl: true,
  transaction: true,
  schema: true,
  migrate: true,
  connectRetryMs: true,
  queues: true,
  maxClaimers: true,
  jobs: true,
  worker: true,
  retention: true,
  maxArgsBytes: true,
} satisfies Record<keyof AwaModuleOptions, true>);

const QUEUE_KEYS = Object.keys({
  maxWorkers: true,
  minWorkers: true,
  weight: true,
  rateLimit: true,
  prefetch: true,
  aging: true,
  shards: true,
  deadLetter: true,
  timeout: true,
} satisfies Record<keyof QueueOptions, true>);

const WORKER_KEYS = Object.keys({
  autoStart: true,
  queues: true,
  globalMaxWorkers: true,
  pollIntervalMs: true,
  heartbeatIntervalMs: true,
  heartbeatStaleMs: true,
  maxBlockedLoopMs: true,
  shutdownTimeoutMs: true,
} satisfies Record<keyof WorkerOptions, true>);

const RETENTION_KEYS = Object.keys({
  completed: true,
  failed: true,
  maxBytes: true,
} satisfies Record<keyof RetentionOptions, true>);

const HOUR_MS = 3_600_000;
const YEAR_MS = 365 * 24 * HOUR_MS;
const DEAD_LETTER_RETENTION_MS = 30 * 24 * HOUR_MS;

/**
 * Checks module options and fills in the defaults, in one place.
 *
 * @throws InvalidOptionsError that lists every problem.
 */
export function resolveAwaOptions(options: AwaModuleOptions): ResolvedAwaOptions {
  if (!isObject(options)) {
    throw new InvalidOptionsError('AwaModule', [`the options must be an object, not ${show(options)}`]);
  }
  const problems = unknownKeyProblems('AwaModule', options, OPTION_KEYS);
  const check = new Checker(problems);
  check.place(options);
  const { migrate = 'check', queues = { [DEFAULT_QUEUE]: {} } } = options;
  if (!['run', 'check', 'off'].includes(migrate)) problems.push('migrate must be "run", "check" or "off"');
  if (options.transaction !== undefined && typeof options.transaction !== 'function') {
    problems.push(`transaction must be a function, not ${show(options.transaction)}`);
  }
  const resolved: ResolvedAwaOptions = {
    transaction: options.transaction,
    schema: check.schema(options.schema),
    directUrl: options.directUrl,
    migrate,
    connectRetryMs: check.integer('connectRetryMs', options.connectRetryMs, 30_000, 0, 86_400_000),
    queueNames: Object.keys(queues),
    queues: check.registrations(queues, options.maxClaimers),
    jobs: options.jobs ?? [],
    worker: check.worker(options.worker ?? true, queues),
    retention: check.retention(options.retention ?? {}),
    maxArgsBytes: check.integer(
      'maxArgsBytes',
      options.maxArgsBytes,
      DEFAULT_MAX_ARGS_BYTES,
      1,
      64 * 1024 * 1024,
    ),
  };
  if (problems.length > 0) throw new InvalidOptionsError('AwaModule', problems);
  return Object.freeze(resolved);
}

class Checker {
  constructor(private readonly problems: string[]) {}

  optionalInteger(label: string, value: number | undefined, least: number, most: number): number | undefined {
    return value === undefined ? undefined : this.integer(label, value, least, least, most);
  }

  registrations(
    queues: NonNullable<AwaModuleOptions['queues']>,
    maxClaimers: number | undefined,
  ): QueueRegistration[] {
    const most = this.optionalInteger('maxClaimers', maxClaimers, 1, 64);
    return Object.entries(queues).map(([name, settings]) => {
      // What is wrong with the settings as a whole is said elsewhere.
      const { aging, shards, deadLetter } = isObject(settings) ? settings : {};
      if (aging !== 0) this.optionalInteger(`queues.${name}.aging`, aging, 1_000, 24 * HOUR_MS);
      return {
        name,
        agingMs: aging,
        shards: this.optionalInteger(`queues.${name}.shards`, shards, 1, 64),
        maxClaimers: most,
        deadLetterMs: this.deadLetter(`queues.${name}.deadLetter`, deadLetter),
      };
    });
  }

  integer(label: string, value: number | undefined, fallback: number, least: number, most: number): number {
    if (value === undefined) return fallback;
    if (Number.isInteger(value) && value >= least && value <= most) return value;
    this.problems.push(`${label} must be a whole number from ${least} to ${most}, not ${String(value)}`);
    return fallback;
  }

  flag(label: string, value: boolean | undefined, fallback: boolean): boolean {
    if (value === undefined || typeof value === 'boolean') return value ?? fallback;
    this.problems.push(`${label} must be true or false, not ${show(value)}`);
    return fallback;
  }

  /** Something unusable must not be taken for nothing: the jobs would go to another database. */
  place({ url, dataSource, directUrl }: AwaModuleOptions): void {
    if (url !== undefined && dataSource !== undefined) {
      this.problems.push('pass either url or dataSource, not both');
    }
    for (const [label, given] of Object.entries({ url, directUrl })) {
      if (given !== undefined && (typeof given !== 'string' || given === '')) {
        this.problems.push(
          `${label} must be a connection string such as postgres://host/database, not ${show(given)}`,
        );
      }
    }
    if (dataSource === undefined || dataSource instanceof DataSource) return;
    if (typeof dataSource !== 'string' || dataSource === '') {
      this.problems.push(
        `dataSource must be a TypeORM DataSource, or the name that one has in Nest, not ${show(dataSource)}`,
      );
    }
  }

  retention(given: RetentionOptions): ResolvedRetention {
    this.problems.push(...unknownKeyProblems('retention', given, RETENTION_KEYS));
    return {
      completed: this.integer('retention.completed', given.completed, 24 * HOUR_MS, 1_000, YEAR_MS),
      failed: this.integer('retention.failed', given.failed, 72 * HOUR_MS, 1_000, YEAR_MS),
      maxBytes: this.integer('retention.maxBytes', given.maxBytes, 16 * 2 ** 30, 64 * 2 ** 20, 2 ** 50),
    };
  }

  private deadLetter(label: string, given: QueueOptions['deadLetter']): number | undefined {
    if (given === undefined) return undefined;
    if (given === false) return 0;
    if (given === true) return DEAD_LETTER_RETENTION_MS;
    if (!isObject(given)) {
      this.problems.push(`${label} must be true, false or an object, not ${show(given)}`);
      return 0;
    }
    this.problems.push(...unknownKeyProblems(label, given, ['retention']));
    return this.integer(`${label}.retention`, given.retention, DEAD_LETTER_RETENTION_MS, 1_000, 10 * YEAR_MS);
  }

  schema(name: string | undefined): SchemaName {
    try {
      return schemaName(name);
    } catch (error) {
      if (!(error instanceof InvalidOptionsError)) throw error;
      this.problems.push(...error.problems);
      return schemaName();
    }
  }

  worker(
    worker: boolean | WorkerOptions,
    queues: NonNullable<AwaModuleOptions['queues']>,
  ): ResolvedWorkerOptions | undefined {
    const settings = typeof worker === 'boolean' ? {} : worker;
    const most = this.optionalInteger('worker.globalMaxWorkers', settings.globalMaxWorkers, 1, 10_000);
    const limits = Object.entries(queues).map(([name, options]) => this.queue(name, options, most));
    if (limits.length === 0) this.problems.push('queues must name at least one queue');
    if (worker === false) return undefined;
    this.problems.push(...unknownKeyProblems('worker', settings, WORKER_KEYS));
    const interval = this.integer(
      'worker.heartbeatIntervalMs',
      settings.heartbeatIntervalMs,
      5_000,
      100,
      60_000,
    );
    const stale = this.integer(
      'worker.heartbeatStaleMs',
      settings.heartbeatStaleMs,
      interval * 3,
      300,
      3_600_000,
    );
    if (stale < interval * 3) {
      this.problems.push(
        `worker.heartbeatStaleMs must be at least three heartbeat intervals (${interval * 3}), not ${stale}: ` +
          'one late heartbeat must not look like a death',
      );
    }
    const chosen = this.chosen(limits, settings.queues);
    this.problems.push(...poolProblems(chosen, queues, most));
    return {
      autoStart: this.flag('worker.autoStart', settings.autoStart, true),
      queues: chosen,
      globalMaxWorkers: most,
      pollIntervalMs: this.integer('worker.pollIntervalMs', settings.pollIntervalMs, 200, 10, 60_000),
      heartbeatIntervalMs: interval,
      heartbeatStaleMs: stale,
      maxBlockedLoopMs: this.integer(
        'worker.maxBlockedLoopMs',
        settings.maxBlockedLoopMs,
        60_000,
        1_000,
        3_600_000,
      ),
      shutdownTimeoutMs: this.integer(
        'worker.shutdownTimeoutMs',
        settings.shutdownTimeoutMs,
        20_000,
        0,
        3_600_000,
      ),
    };
  }

  private queue(
    name: string,
    options: QueueOptions,
    globalMaxWorkers: number | undefined,
  ): ResolvedQueueLimits {
    this.problems.push(...nameProblems(`queue ${JSON.stringify(name)}`, name));
    if (!isObject(options)) this.problems.push(`queues.${name} must be an object, not ${show(options)}`);
    else this.problems.push(...unknownKeyProblems(`queues.${name}`, options, QUEUE_KEYS));
    return queueLimits(name, isObject(options) ? options : {}, globalMaxWorkers, this.problems, (...given) =>
      this.integer(...given),
    );
  }

  private chosen<Limit extends { name: string }>(
    limits: Limit[],
    names: readonly string[] | undefined,
  ): Limit[] {
    const unknown = (names ?? []).filter((name) => !limits.some((limit) => limit.name === name));
    this.problems.push(
      ...unknown.map((name) => `worker.queues names ${JSON.stringify(name)}, which is not in queues`),
    );
    if (names?.length === 0) {
      this.problems.push(
        'worker.queues must name at least one queue; for a process that only enqueues set worker to false',
      );
    }
    return names === undefined ? limits : limits.filter(({ name }) => names.includes(name));
  }
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
