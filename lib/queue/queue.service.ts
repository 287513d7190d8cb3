import { Inject, Injectable } from '@nestjs/common';
import { InvalidOptionsError, UniqueConflictError } from '../errors/index.js';
import type { JobDefinition, UniqueOptions } from '../jobs/index.js';
import { describeError, payloadJson } from '../jobs/index.js';
import { unknownKeyProblems } from '../jobs/job-options.rules.js';
import type { ResolvedAwaOptions } from '../options/resolve-options.js';
import { AWA_DATABASE, AWA_OPTIONS } from '../options/tokens.js';
import type { Database } from '../storage/connection/database.js';
import type { JobState } from '../storage/job-state.js';
import { type CancelledJob, cancelJobs } from '../storage/operations/cancel-jobs.js';
import { cancelUniqueJob } from '../storage/operations/cancel-unique-job.js';
import { countJobs, type JobCount, oldestWaiting } from '../storage/operations/count-jobs.js';
import { enqueueJobs, type NewJob } from '../storage/operations/enqueue-jobs.js';
import { enqueueUniqueJobs } from '../storage/operations/enqueue-unique-jobs.js';
import { getJob } from '../storage/operations/get-job.js';
import { listJobs } from '../storage/operations/list-jobs.js';
import type { SqlPort } from '../storage/sql-port.js';
import { type CancelOptions, resolveCancel } from './cancel-options.js';
import { type CancelUniqueOptions, resolveCancelUnique } from './cancel-unique-options.js';
import {
  capProblems,
  decodeCursor,
  DEFAULT_PAGE_SIZE,
  encodeCursor,
  limitProblems,
  type ListPage,
  type PageOptions,
} from './cursor.js';
import type { EnqueueOptions } from './enqueue-options.js';
import { checkJobFilter, type JobFilter, orderOf } from './job-filter.js';
import { type JobSnapshot, toSnapshot } from './job-snapshot.js';
import { QueueDirectory } from './queue-directory.js';
import { resolveEnqueueOptions } from './resolve-enqueue-options.js';
import { serializeArgs } from './serialize-args.js';
import { ambientConnection, type TransactionConnection, transactionPort } from './transaction-options.js';
import { uniqueClaim } from './unique-claim.js';
import { validateArgs } from './validate-args.js';
import { jobIdProblems } from './job-id.js';

/** What an enqueue answers. @publicApi */
export interface EnqueuedJob {
  /** Identifier, a decimal string (a 64-bit number in the database). */
  readonly id: string;
  /** True when nothing was enqueued, because the job with this id has the unique key. */
  readonly deduplicated: boolean;
}

/**
 * Enqueues jobs and reads them. Inject it anywhere: its module is global.
 *
 * @example
 * ```ts
 * await dataSource.transaction(async (manager) => {
 *   const user = await manager.save(User, input);
 *   await queue.enqueue(SendWelcome, { userId: user.id }, { manager });
 * });
 * ```
 *
 * @publicApi
 */
@Injectable()
export class QueueService {
  private readonly queues: QueueDirectory;

  constructor(
    @Inject(AWA_DATABASE) private readonly database: Database,
    @Inject(AWA_OPTIONS) private readonly options: ResolvedAwaOptions,
  ) {
    this.queues = new QueueDirectory(database);
  }

  /**
   * Enqueues one job. With `manager`, `queryRunner` or `client` it is part of that transaction: it exists when the
   * transaction commits, and never existed when it rolls back. Whatever is wrong with the input is found before a
   * statement runs, so the transaction stays usable.
   *
   * @param definition what `defineJob()` returned
   * @param args the arguments; checked by the definition's schema, stored as JSON as they are given
   * @param options see {@link EnqueueOptions}
   * @throws InvalidJobArgsError, JobArgsTooLargeError when the arguments cannot be taken
   * @throws InvalidOptionsError when an option cannot be
   * @throws UnknownQueueError when no process has the queue among its options
   * @throws UniqueConflictError in a REPEATABLE READ or SERIALIZABLE transaction, when a newer job has the unique key
   * @example await queue.enqueue(SendEmail, { to: 'a@b.c' }, { delay: 60_000 });
   */
  async enqueue<Input, Output>(
    definition: JobDefinition<Input, Output>,
    args: NoInfer<Input>,
    options: EnqueueOptions = {},
  ): Promise<EnqueuedJob> {
    const [job] = await this.enqueueMany(definition, [args], options);
    return job as EnqueuedJob;
  }

  /**
   * Enqueues many jobs of a kind with one statement: all of them or none. Takes tens of thousands a call.
   *
   * @param definition what `defineJob()` returned
   * @param argsList the arguments of each job
   * @param options for all of them
   * @returns the jobs, in the order of `argsList`; of unique jobs with the same key, later ones get the first one's id
   * @throws as {@link enqueue} does; the first unusable arguments refuse the call
   * @example await queue.enqueueMany(SendEmail, users.map(({ email }) => ({ to: email })), { manager });
   */
  async enqueueMany<Input, Output>(
    definition: JobDefinition<Input, Output>,
    argsList: readonly NoInfer<Input>[],
    options: EnqueueOptions = {},
  ): Promise<EnqueuedJob[]> {
    const { connection, metadataJson, tags, unique, ...common } = resolveEnqueueOptions(definition, options);
    const payload = payloadJson(metadataJson, tags);
    const jobs: NewJob[] = [];
    for (const args of argsList) {
      // Without a schema there is nothing to wait for.
      const argsJson =
        definition.schema === undefined
          ? this.json(definition, args)
          : await this.checkedJson(definition, args);
      jobs.push({ ...common, argsJson, payloadJson: payload });
    }
    const transaction = this.transactionOf(connection);
    await this.queues.require(common.queue, transaction);
    if (jobs.length === 0) return [];
    const port = transaction ?? this.database.pool;
    if (unique !== undefined) return this.enqueueUnique(port, unique, jobs);
    const ids = await enqueueJobs(port, this.database.schema, jobs);
    return ids.map((id) => ({ id, deduplicated: false }));
  }

  /**
   * Cancels a job that has not ended. One that waits is never run. One that runs is over at once: its result will not count,
   * and its handler's AbortSignal is aborted, in whichever process it runs.
   *
   * With `manager`, `queryRunner` or `client` it is part of that transaction, which must be READ COMMITTED. Until it ends,
   * nobody claims from the lane (queue and priority) of a waiting job that it cancels: keep it short.
   *
   * @param id a decimal string, as `enqueue` gave it
   * @param options.reason kept with the job; at most 8 KiB
   * @throws InvalidOptionsError when the id cannot be one
   * @example const { result } = await queue.cancelJob(id, { reason: 'the order was withdrawn' });
   */
  async cancelJob(id: string, options: CancelOptions = {}): Promise<CancelledJob> {
    const [cancelled] = await this.cancelJobs([id], options);
    return cancelled as CancelledJob;
  }

  /**
   * Cancels several jobs; see {@link cancelJob}.
   *
   * @param ids ids that are named twice are answered once
   * @returns in no particular order
   */
  async cancelJobs(ids: readonly string[], options: CancelOptions = {}): Promise<CancelledJob[]> {
    const connection = resolveCancel(ids, options);
    const port = this.transactionOf(connection) ?? this.database.pool;
    return cancelJobs(port, this.database.schema, ids, describeError(options.reason ?? 'cancelled'));
  }

  /**
   * Cancels the job that an enqueue with the same definition, arguments and options would be a duplicate of; see {@link cancelJob}.
   * The key is free for the next enqueue then, in the same transaction too.
   *
   * A job whose enqueue is not committed yet is neither found nor waited for. With a `period` it is the job of the present window.
   *
   * @param definition what `defineJob()` returned
   * @param args the arguments, whole; checked by the definition's schema
   * @param options `queue` and `unique` where the enqueue had others than the definition; `reason`; the transaction
   * @returns which job it was and what became of it (`finished`: it had ended, and keeps its key as long as its `unique.states`
   *   say); null when no job has the key
   * @throws InvalidJobArgsError, JobArgsTooLargeError when the arguments cannot be a job's
   * @throws InvalidOptionsError when an option cannot be, or there is no unique option
   * @example const cancelled = await queue.cancelUniqueJob(Reindex, { documentId }, { manager });
   */
  async cancelUniqueJob<Input, Output>(
    definition: JobDefinition<Input, Output>,
    args: NoInfer<Input>,
    options: CancelUniqueOptions = {},
  ): Promise<CancelledJob | null> {
    const { queue, unique, connection } = resolveCancelUnique(definition, options);
    const claim = uniqueClaim(unique, definition.kind, queue, await this.checkedJson(definition, args));
    const port = this.transactionOf(connection) ?? this.database.pool;
    const reason = describeError(options.reason ?? 'cancelled');
    return (await cancelUniqueJob(port, this.database.schema, claim, reason)) ?? null;
  }

  /**
   * The job as it is now, or null when there is none with this id or it is no longer kept.
   *
   * @param id a decimal string, as `enqueue` gave it
   * @throws InvalidOptionsError when the id cannot be one
   */
  async getJob(id: string): Promise<JobSnapshot | null> {
    const problems = jobIdProblems('id', id);
    if (problems.length > 0) throw new InvalidOptionsError('getJob()', problems);
    const stored = await getJob(this.database.pool, this.database.schema, id);
    return stored === undefined ? null : toSnapshot(stored);
  }

  /**
   * A page of jobs, newest first: by id; of available ones in the reverse order in which they will be claimed, of completed ones
   * by their completion. A call costs the same however many jobs there are.
   *
   * @param filter see {@link JobFilter}; name a state where you can, it leads to the jobs without passing over others
   * @param page see {@link PageOptions}
   * @throws InvalidOptionsError listing every problem
   * @example
   * ```ts
   * const { items, cursor } = await queue.listJobs({ queue: 'email', state: 'failed' });
   * const next = await queue.listJobs({ queue: 'email', state: 'failed' }, { cursor });
   * ```
   */
  async listJobs(filter: JobFilter = {}, page: PageOptions = {}): Promise<ListPage<JobSnapshot>> {
    const problems = unknownKeyProblems('listJobs', page, ['limit', 'cursor']);
    const conditions = checkJobFilter(filter, problems);
    const { limit = DEFAULT_PAGE_SIZE } = page;
    problems.push(...limitProblems(limit));
    const order = orderOf(conditions.state);
    const after = decodeCursor(order, page.cursor, problems);
    if (problems.length > 0) throw new InvalidOptionsError('listJobs()', problems);
    const { items, next } = await listJobs(this.database.pool, this.database.schema, conditions, {
      after,
      limit,
    });
    return {
      items: items.map(toSnapshot),
      cursor: conditions.ids === undefined ? encodeCursor(order, next) : undefined,
    };
  }

  /**
   * Numbers of a queue's jobs by state: exact up to `cap`, and about right beyond, so that it may be polled whatever waits.
   * Ended jobs are those still kept; dead letters count as failed.
   *
   * @param options cap: 1 to 1,000,000, default 10,000
   * @throws UnknownQueueError when there is no such queue
   * @throws InvalidOptionsError for any other cap
   * @example const { available } = await queue.countJobs('email'); // { count: 17, exact: true }
   */
  async countJobs(
    queue: string,
    { cap = 10_000 }: { readonly cap?: number } = {},
  ): Promise<Record<JobState, JobCount>> {
    const problems = capProblems(cap);
    if (problems.length > 0) throw new InvalidOptionsError('countJobs()', problems);
    await this.queues.require(queue);
    return countJobs(this.database.pool, this.database.schema, queue, cap);
  }

  /**
   * For how many milliseconds the job that is next in the queue has been due, by the database's clock; null when none waits.
   * With several priorities, of the one where it is longest.
   *
   * @throws UnknownQueueError when there is no such queue
   */
  async oldestWaitingAge(queue: string): Promise<number | null> {
    await this.queues.require(queue);
    return (await oldestWaiting(this.database.pool, this.database.schema, queue)) ?? null;
  }

  /** That of the call, or the one that surrounds it. */
  private transactionOf(given: TransactionConnection | undefined): SqlPort | undefined {
    const connection = given ?? ambientConnection(this.options.transaction);
    return connection === undefined ? undefined : transactionPort(connection);
  }

  private async enqueueUnique(
    port: SqlPort,
    unique: UniqueOptions,
    jobs: readonly NewJob[],
  ): Promise<EnqueuedJob[]> {
    const results = await enqueueUniqueJobs(
      port,
      this.database.schema,
      jobs.map((job) => ({ ...job, unique: uniqueClaim(unique, job.kind, job.queue, job.argsJson) })),
    );
    if (results === undefined) throw new UniqueConflictError(jobs[0]?.kind ?? '');
    return results;
  }

  private async checkedJson(definition: JobDefinition, args: unknown): Promise<string> {
    const json = this.json(definition, args);
    // Checked as the handler will get it: what JSON drops or changes must not pass here and fail there.
    if (definition.schema !== undefined)
      await validateArgs(definition.schema, JSON.parse(json), definition.kind);
    return json;
  }

  private json({ kind }: JobDefinition, args: unknown): string {
    return serializeArgs(args, this.options.maxArgsBytes, kind);
  }
}
