import type { EntityManager, QueryRunner } from 'typeorm';
import { InvalidOptionsError, StaleAttemptError } from '../errors/index.js';
import type { TransactionalJobContext } from '../jobs/index.js';
import { TypeOrmAdapter } from '../storage/adapters/typeorm.adapter.js';
import { applicationDataSource, type Database } from '../storage/connection/database.js';
import type { JobState } from '../storage/job-state.js';
import type { ClaimedJob } from '../storage/operations/claim-jobs.js';
import { completeAttempts, settleAttempts } from '../storage/operations/close-attempts.js';
import { limitIdleTime } from '../storage/operations/limit-idle-time.js';
import type { SqlPort } from '../storage/sql-port.js';
import type { AttemptResult } from './attempt-result.js';
import type { Attempt } from './attempt.js';

/**
 * Between the statement that ends the attempt and COMMIT, in milliseconds: a process that stands still there keeps the claim locked, and
 * nobody can rescue the other jobs in it until the server ends its transaction.
 */
const MAX_IDLE_MS = 10_000;

/**
 * Ends attempts in transactions of the application's DataSource, together with what the handler has written there.
 *
 * Locks: the claim's row, FOR UPDATE, until the transaction ends. Other transactions that complete attempts of the same claim wait for
 * it, the worker's own batcher does not. The statement is the last one before COMMIT, so no waiter holds what the holder still needs.
 */
export class AttemptTransactions {
  constructor(private readonly database: Database) {}

  /**
   * Runs a transactional handler and commits its writes with its outcome: what it returns, that is. When it throws, all is rolled back,
   * and the outcome is left to the caller.
   *
   * @throws what the handler threw; StaleAttemptError when somebody else has ended the attempt; an error of the COMMIT, after which
   *   `attempt.isUnsure`: it may have been carried out
   */
  async run(
    attempt: Attempt,
    work: (context: TransactionalJobContext) => Promise<AttemptResult>,
  ): Promise<AttemptResult> {
    const dataSource = applicationDataSource(this.database);
    if (dataSource === undefined) throw new Error('transactional handlers need the option "dataSource"');
    let result: AttemptResult = 'completed';
    let state: JobState = 'completed';
    await dataSource.transaction('READ COMMITTED', async (manager) => {
      result = await work(Object.freeze({ ...attempt.context, manager, completeIn: refuse }));
      if (manager.queryRunner?.isTransactionActive !== true) {
        throw new Error('the handler has ended the transaction of its context: leave that to the library');
      }
      if (result !== 'completed') await attempt.state.settled();
      const port = new TypeOrmAdapter(manager);
      await limitIdleTime(port, MAX_IDLE_MS);
      state = await this.close(port, attempt.job, result);
      attempt.isUnsure = true;
    });
    attempt.isUnsure = false;
    attempt.committedAs = state;
    return result;
  }

  /** `completeIn` of a handler's context. */
  async completeIn(attempt: Attempt, transaction: EntityManager | QueryRunner): Promise<void> {
    if (!isInTransaction(transaction)) {
      throw new InvalidOptionsError('completeIn()', [
        'pass the EntityManager or QueryRunner of a transaction that is open',
      ]);
    }
    await this.close(new TypeOrmAdapter(transaction), attempt.job, 'completed');
    // Whether the transaction commits is for the claim to tell, when the handler has ended.
    attempt.isUnsure = true;
    attempt.isCompletedIn = true;
  }

  private async close(port: SqlPort, job: ClaimedJob, result: AttemptResult): Promise<JobState> {
    const { schema } = this.database;
    if (result === 'completed') {
      const [stale] = await completeAttempts(port, schema, [job], () => true);
      if (stale === undefined) return 'completed';
    } else {
      const [state] = await settleAttempts(port, schema, [{ job, ...result }]);
      if (state !== undefined) return state;
    }
    throw new StaleAttemptError(job.jobId, job.runLease);
  }
}

function isInTransaction(value: EntityManager | QueryRunner): boolean {
  const runner = 'queryRunner' in value ? value.queryRunner : (value as QueryRunner);
  return runner?.isTransactionActive === true;
}

function refuse(): Promise<never> {
  return Promise.reject(
    new InvalidOptionsError('completeIn()', [
      'a transactional handler just returns: its attempt is completed in the transaction of its context',
    ]),
  );
}
