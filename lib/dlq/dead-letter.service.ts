import { Inject, Injectable } from '@nestjs/common';
import { InvalidOptionsError } from '../errors/index.js';
import type { JobPriority } from '../jobs/index.js';
import {
  delayProblems,
  maxAttemptsProblems,
  nameProblems,
  priorityProblems,
  unknownKeyProblems,
} from '../jobs/job-options.rules.js';
import { AWA_DATABASE } from '../options/tokens.js';
import { capProblems, encodeCursor, type ListPage, type PageOptions } from '../queue/cursor.js';
import { QueueDirectory } from '../queue/queue-directory.js';
import { runAtProblems } from '../queue/resolve-enqueue-options.js';
import { chooseConnection, type TransactionOptions, transactionPort } from '../queue/transaction-options.js';
import type { Database } from '../storage/connection/database.js';
import { countDeadLetters, type JobCount } from '../storage/operations/count-jobs.js';
import { listDeadLetters, walkDeadLetters } from '../storage/operations/dead-letters.js';
import { databaseNow } from '../storage/operations/database-now.js';
import { moveFailedToDlq, walkFailedJobs } from '../storage/operations/move-failed-to-dlq.js';
import type { Page, PageRange } from '../storage/operations/page.js';
import { purgeDeadLetters } from '../storage/operations/purge-dead-letters.js';
import { retryDeadLetters, type RetryOverrides } from '../storage/operations/retry-dead-letters.js';
import type { SqlPort } from '../storage/sql-port.js';
import {
  checkFilter,
  checkPage,
  checkSelection,
  type DeadLetterFilter,
  type DeadLetterSelection,
  FAILED_FILTER_KEYS,
  reasonProblems,
} from './dead-letter-filter.js';
import { type DeadLetter, toDeadLetter } from './dead-letter.js';
import { jobIdProblems } from '../queue/job-id.js';

/** What a retried job gets that it did not have; the rest stays. @publicApi */
export interface DeadLetterRetryOptions extends TransactionOptions {
  /** Another queue. */
  readonly queue?: string;
  /** 1 (most urgent) to 4. */
  readonly priority?: JobPriority;
  /** 1 to 1000. */
  readonly maxAttempts?: number;
  /** Not before this time. Not together with `delay`. */
  readonly runAt?: Date;
  /** Not before so many milliseconds from now. Not together with `runAt`. */
  readonly delay?: number;
}

/** What an operation on many did. @publicApi */
export interface BulkResult {
  /** How many the filter fitted. */
  readonly matched: number;
  /** With how many it was done. The others were, at that moment, in another transaction's hands. */
  readonly done: number;
}

/** What a retry of many did. @publicApi */
export interface DeadLetterRetryResult extends BulkResult {
  /** How many were cancelled instead, because another job has their unique key by now. */
  readonly cancelled: number;
}

/** Entries of one statement: locks are held for moments, unless the caller's transaction holds them for longer. */
const BATCH = 1_000;

/**
 * Dead letters: jobs of queues with `deadLetter` that failed for good. They are held until somebody retries or purges them, or
 * their retention is over. Inject it anywhere: its module is global.
 *
 * Every method works in the caller's transaction when one of `manager`, `queryRunner` and `client` is given, and otherwise
 * in transactions of its own, one a batch.
 *
 * @example
 * ```ts
 * const { items } = await deadLetters.list({ queue: 'email', from: yesterday });
 * await deadLetters.retryMany({ queue: 'email', reason: 'max_attempts_exhausted' }, { delay: 60_000 });
 * ```
 *
 * @publicApi
 */
@Injectable()
export class DeadLetterService {
  private readonly queues: QueueDirectory;

  constructor(@Inject(AWA_DATABASE) private readonly database: Database) {
    this.queues = new QueueDirectory(database);
  }

  /**
   * A page of dead letters, newest first. With `ids` in the filter, all of those on one page.
   *
   * @throws InvalidOptionsError listing every problem
   */
  async list(
    filter: DeadLetterFilter = {},
    page: PageOptions & TransactionOptions = {},
  ): Promise<ListPage<DeadLetter>> {
    const problems = unknownKeyProblems('list', page, ['limit', 'cursor', ...TRANSACTION_KEYS]);
    const conditions = checkFilter(filter, problems);
    const range = checkPage(page, problems);
    const port = this.port('list()', page, problems);
    const { items, next } = await listDeadLetters(port, this.database.schema, conditions, range);
    return {
      items: items.map(toDeadLetter),
      cursor: conditions.ids === undefined ? encodeCursor('dead-letters', next) : undefined,
    };
  }

  /**
   * The dead letter with this id, or null when there is none.
   *
   * @throws InvalidOptionsError when the id cannot be one
   */
  async get(id: string, options: TransactionOptions = {}): Promise<DeadLetter | null> {
    const port = this.port('get()', options, jobIdProblems('id', id));
    const { items } = await listDeadLetters(port, this.database.schema, { ids: [id] }, FIRST);
    return items[0] === undefined ? null : toDeadLetter(items[0]);
  }

  /**
   * Puts one back into its queue, or into another. Its attempts are counted anew, its errors and its id stay. Waits for a
   * transaction that is at the same dead letter. When another job has its unique key by now, the newer one stays: the dead
   * letter is cancelled, with that as its last error.
   *
   * @returns whether it is back: false when it was cancelled, and when there is no such dead letter (any more)
   * @throws InvalidOptionsError, UnknownQueueError before anything is written
   * @example await deadLetters.retry(id, { queue: 'slow', maxAttempts: 3, manager });
   */
  async retry(id: string, options: DeadLetterRetryOptions = {}): Promise<boolean> {
    const problems = jobIdProblems('id', id);
    const overrides = checkOverrides(options, problems);
    const port = this.port('retry()', options, problems);
    await this.requireQueue(overrides, options, port);
    const { retried } = await retryDeadLetters(port, this.database.schema, [id], true, overrides);
    return retried.length > 0;
  }

  /**
   * Puts all that the filter fits, and that are there when the call begins, back into a queue, oldest first; those whose
   * unique key another job has by now are cancelled.
   *
   * @throws InvalidOptionsError, UnknownQueueError before anything is written
   */
  async retryMany(
    selection: DeadLetterSelection,
    options: DeadLetterRetryOptions = {},
  ): Promise<DeadLetterRetryResult> {
    const problems: string[] = [];
    const conditions = checkSelection('retryMany()', selection, problems);
    const overrides = checkOverrides(options, problems);
    const port = this.port('retryMany()', options, problems);
    await this.requireQueue(overrides, options, port);
    const { schema } = this.database;
    let cancelled = 0;
    const result = await inBatches(
      await this.untilNow(port, conditions),
      (chunk, range) => walkDeadLetters(port, schema, chunk, range),
      async (ids) => {
        const batch = await retryDeadLetters(port, schema, ids, false, overrides);
        cancelled += batch.cancelled.length;
        return batch.retried;
      },
    );
    return { ...result, cancelled };
  }

  /**
   * Deletes one. Waits for a transaction that is at the same dead letter.
   *
   * @returns whether there was one
   * @throws InvalidOptionsError when the id cannot be one
   */
  async purge(id: string, options: TransactionOptions = {}): Promise<boolean> {
    const port = this.port('purge()', options, jobIdProblems('id', id));
    return (await purgeDeadLetters(port, this.database.schema, [id], true)).length > 0;
  }

  /**
   * Deletes all that the filter fits, and that are there when the call begins.
   *
   * @throws InvalidOptionsError before anything is deleted
   */
  async purgeMany(selection: DeadLetterSelection, options: TransactionOptions = {}): Promise<BulkResult> {
    const problems: string[] = [];
    const conditions = checkSelection('purgeMany()', selection, problems);
    const port = this.port('purgeMany()', options, problems);
    const { schema } = this.database;
    return inBatches(
      await this.untilNow(port, conditions),
      (chunk, range) => walkDeadLetters(port, schema, chunk, range),
      (ids) => purgeDeadLetters(port, schema, ids, false),
    );
  }

  /**
   * Makes dead letters of failed jobs that are still kept, of any queue: they can then be retried, and stay for longer.
   *
   * @param options `reason` is kept with each; default `moved`
   * @throws InvalidOptionsError before anything is moved
   * @example await deadLetters.moveFailed({ kind: 'send_email', from: outageBegan, to: outageEnded }, { reason: 'mail outage' });
   */
  async moveFailed(
    selection: DeadLetterSelection,
    options: TransactionOptions & { readonly reason?: string } = {},
  ): Promise<BulkResult> {
    const { reason = 'moved' } = options;
    const problems = reasonProblems(reason);
    const conditions = checkSelection('moveFailed()', selection, problems, FAILED_FILTER_KEYS);
    const port = this.port('moveFailed()', options, problems);
    const { schema } = this.database;
    return inBatches(
      await this.untilNow(port, conditions),
      (chunk, range) => walkFailedJobs(port, schema, chunk, range),
      (ids) => moveFailedToDlq(port, schema, ids, reason),
    );
  }

  /**
   * How many dead letters each queue has: exact up to `cap` (default 10,000), about right beyond.
   *
   * @throws InvalidOptionsError for any other cap
   */
  async depth(
    options: TransactionOptions & { readonly cap?: number } = {},
  ): Promise<Record<string, JobCount>> {
    const { cap = 10_000 } = options;
    const problems = capProblems(cap);
    const port = this.port('depth()', options, problems);
    return countDeadLetters(port, this.database.schema, cap);
  }

  /** What comes while an operation on many is under way is none of its business: a retried job may fail again at once. */
  private async untilNow<Conditions extends { readonly to?: Date | undefined }>(
    port: SqlPort,
    conditions: Conditions,
  ): Promise<Conditions> {
    const now = await databaseNow(port, this.database.schema);
    return conditions.to !== undefined && conditions.to < now ? conditions : { ...conditions, to: now };
  }

  private port(subject: string, options: TransactionOptions, problems: string[]): SqlPort {
    const connection = chooseConnection(options, problems);
    if (problems.length > 0) throw new InvalidOptionsError(`DeadLetterService.${subject}`, problems);
    return connection === undefined ? this.database.pool : transactionPort(connection);
  }

  private async requireQueue(
    { queue }: RetryOverrides,
    { manager, queryRunner, client }: TransactionOptions,
    port: SqlPort,
  ): Promise<void> {
    const isOwn = (manager ?? queryRunner ?? client) !== undefined;
    if (queue !== undefined) await this.queues.require(queue, isOwn ? port : undefined);
  }
}

const FIRST: PageRange = { after: undefined, limit: 1 };

const TRANSACTION_KEYS = ['manager', 'queryRunner', 'client'];

const RETRY_KEYS = ['queue', 'priority', 'maxAttempts', 'runAt', 'delay', ...TRANSACTION_KEYS];

function checkOverrides(options: DeadLetterRetryOptions, problems: string[]): RetryOverrides {
  const { queue, priority, maxAttempts, runAt, delay } = options;
  problems.push(...unknownKeyProblems('retry', options, RETRY_KEYS));
  if (queue !== undefined) problems.push(...nameProblems('queue', queue));
  if (priority !== undefined) problems.push(...priorityProblems(priority));
  if (maxAttempts !== undefined) problems.push(...maxAttemptsProblems(maxAttempts));
  if (runAt !== undefined) problems.push(...runAtProblems(runAt));
  if (delay !== undefined) problems.push(...delayProblems('delay', delay));
  if (runAt !== undefined && delay !== undefined) problems.push('pass either runAt or delay, not both');
  return { queue, priority, maxAttempts, runAt, delayMs: delay };
}

/** Walks over what the conditions fit, from the oldest to the newest, a batch at a time. */
async function inBatches<Conditions extends { readonly ids?: readonly string[] | undefined }>(
  conditions: Conditions,
  find: (conditions: Conditions, range: PageRange) => Promise<Page<string>>,
  act: (ids: readonly string[]) => Promise<string[]>,
): Promise<BulkResult> {
  let matched = 0;
  let done = 0;
  for (const chunk of chunks(conditions)) {
    let after: PageRange['after'];
    do {
      const { items, next } = await find(chunk, { after, limit: BATCH });
      matched += items.length;
      if (items.length > 0) done += (await act(items)).length;
      after = chunk.ids === undefined ? next : undefined;
    } while (after !== undefined);
  }
  return { matched, done };
}

function chunks<Conditions extends { readonly ids?: readonly string[] | undefined }>(
  conditions: Conditions,
): Conditions[] {
  const { ids } = conditions;
  if (ids === undefined) return [conditions];
  const starts = Array.from({ length: Math.ceil(ids.length / BATCH) }, (_, chunk) => chunk * BATCH);
  return starts.map((start) => ({ ...conditions, ids: ids.slice(start, start + BATCH) }));
}
