import { types } from 'node:util';
import { InvalidOptionsError } from '../errors/index.js';
import { frozenUnique, MAX_TAGS, uniqueProblems } from '../jobs/index.js';
import type { JobDefinition, JobPriority, UniqueOptions } from '../jobs/index.js';
import {
  delayProblems,
  maxAttemptsProblems,
  nameProblems,
  priorityProblems,
  show,
  tagsProblems,
  unknownKeyProblems,
} from '../jobs/job-options.rules.js';
import type { EnqueueOptions } from './enqueue-options.js';
import { serializeMetadata } from './serialize-metadata.js';
import { chooseConnection, type TransactionConnection } from './transaction-options.js';

/** Limits that an application may configure. */
export interface EnqueueLimits {
  /** Largest metadata as UTF-8 JSON, in bytes. Default 64 KiB. */
  readonly maxMetadataBytes?: number;
}

/** Options of one enqueue, checked, with everything that was left out filled in. */
export interface ResolvedEnqueue {
  readonly kind: string;
  readonly queue: string;
  readonly priority: JobPriority;
  readonly maxAttempts: number;
  /** Due at this time; undefined when due now or after `delayMs`. */
  readonly runAt: Date | undefined;
  /** Due so many milliseconds after the database's present; undefined when due now or at `runAt`. */
  readonly delayMs: number | undefined;
  /** Undefined: any shard will do. */
  readonly orderingKey: string | undefined;
  /** JSON text of an object, fit for jsonb; undefined when there is none. */
  readonly metadataJson: string | undefined;
  /** Those of the definition, then those of the enqueue, each once. */
  readonly tags: readonly string[];
  /** Undefined when each enqueue makes a job. */
  readonly unique: UniqueOptions | undefined;
  /** Undefined when the enqueue is to use a connection of its own. */
  readonly connection: TransactionConnection | undefined;
}

// A record, so that the compiler complains when an option is missing here.
const KNOWN_OPTIONS = Object.keys({
  queue: true,
  priority: true,
  maxAttempts: true,
  runAt: true,
  delay: true,
  orderingKey: true,
  metadata: true,
  tags: true,
  unique: true,
  manager: true,
  queryRunner: true,
  client: true,
} satisfies Record<keyof EnqueueOptions, true>);

/** Both Postgres and the text format that drivers send times in can express these. */
const EARLIEST = Date.parse('0001-01-01T00:00:00Z');
const LATEST = Date.parse('9999-12-31T23:59:59.999Z');

/**
 * Checks the options of one enqueue and fills in what the definition says.
 *
 * @throws InvalidOptionsError listing every problem
 */
export function resolveEnqueueOptions(
  definition: JobDefinition,
  options: EnqueueOptions = {},
  limits: EnqueueLimits = {},
): ResolvedEnqueue {
  const { queue, priority, maxAttempts, runAt, delay, orderingKey, metadata, tags, unique } = options;
  const problems = unknownKeyProblems('enqueue', options, KNOWN_OPTIONS);
  if (queue !== undefined) problems.push(...nameProblems('queue', queue));
  if (priority !== undefined) problems.push(...priorityProblems(priority));
  if (maxAttempts !== undefined) problems.push(...maxAttemptsProblems(maxAttempts));
  if (runAt !== undefined) problems.push(...runAtProblems(runAt));
  if (delay !== undefined) problems.push(...delayProblems('delay', delay));
  if (runAt !== undefined && delay !== undefined) problems.push('pass either runAt or delay, not both');
  if (orderingKey !== undefined) problems.push(...nameProblems('orderingKey', orderingKey));
  if (unique !== undefined && unique !== false) problems.push(...uniqueProblems(unique));
  const allTags = mergeTags(definition.tags, tags, problems);
  const metadataJson = serializeMetadata(metadata, limits.maxMetadataBytes, problems);
  const connection = chooseConnection(options, problems);
  if (problems.length > 0) {
    throw new InvalidOptionsError(`enqueue() of job kind ${show(definition.kind)}`, problems);
  }
  return {
    kind: definition.kind,
    queue: queue ?? definition.queue,
    priority: priority ?? definition.priority,
    maxAttempts: maxAttempts ?? definition.maxAttempts,
    runAt: runAt === undefined ? undefined : new Date(runAt),
    delayMs: delay === undefined ? undefined : Math.round(delay),
    orderingKey,
    metadataJson,
    tags: allTags,
    unique: resolveUnique(definition, unique),
    connection,
  };
}

function resolveUnique(
  definition: JobDefinition,
  unique: UniqueOptions | false | undefined,
): UniqueOptions | undefined {
  if (unique === undefined) return definition.unique;
  return unique === false ? undefined : frozenUnique(unique);
}

export function runAtProblems(value: unknown): string[] {
  if (!types.isDate(value)) return [`runAt must be a Date, not ${show(value)}`];
  const time = value.getTime();
  return time >= EARLIEST && time <= LATEST ? [] : ['runAt must be a valid Date in the years 1 to 9999'];
}

function mergeTags(
  own: readonly string[],
  added: readonly string[] | undefined,
  problems: string[],
): readonly string[] {
  if (added === undefined) return own;
  const addedProblems = tagsProblems(added);
  problems.push(...addedProblems);
  if (addedProblems.length > 0) return own;
  const all = [...new Set([...own, ...added])];
  if (all.length > MAX_TAGS) {
    problems.push(
      `tags must be at most ${MAX_TAGS} together with those of the definition, not ${all.length}`,
    );
  }
  return Object.freeze(all);
}
