import { createHash, randomUUID } from 'node:crypto';
import type { Client } from 'pg';
import { PgAdapter } from '../../../lib/storage/adapters/pg.adapter.js';
import { cancelJobs } from '../../../lib/storage/operations/cancel-jobs.js';
import { cancelUniqueJob } from '../../../lib/storage/operations/cancel-unique-job.js';
import {
  type AttemptOutcome,
  completeAttempts,
  settleAttempts,
} from '../../../lib/storage/operations/close-attempts.js';
import {
  enqueueUniqueJobs,
  type UniqueEnqueue,
} from '../../../lib/storage/operations/enqueue-unique-jobs.js';
import { expireUniqueKeys } from '../../../lib/storage/operations/expire-unique-keys.js';
import { moveFailedToDlq } from '../../../lib/storage/operations/move-failed-to-dlq.js';
import { purgeDeadLetters } from '../../../lib/storage/operations/purge-dead-letters.js';
import { registerQueues } from '../../../lib/storage/operations/queues.js';
import { retryDeadLetters } from '../../../lib/storage/operations/retry-dead-letters.js';
import {
  listRingSegments,
  pruneRing,
  type RingName,
  type RingSegment,
  rotateRing,
} from '../../../lib/storage/operations/rings.js';
import { until } from '../../support/signals.js';
import { newJob, registerTestInstance, SCHEMA } from '../../support/storage-fixture.js';
import type { ReplayDatabase } from '../models.js';
import type { Plain } from '../quint/plain.js';
import type { Step } from '../quint-model.js';
import type { Engine } from './replay.js';
import { OBSERVE } from './uniqueness-facts.js';
import { expectSame } from './expect-same.js';
import { HOUR_MS, ReplayJobs } from './uniqueness-jobs.js';
import { ReplayTransaction } from './uniqueness-transaction.js';

/** Registered ahead of all transactions, so that every snapshot shows them. */
const QUEUES = 80;
/** So long that the window does not end under a replay; its number is 0. */
const PERIOD_MS = 1e13;
/** That number, as it is appended to a key. Keys without a period get it by hand, so that the same key has one name. */
const WINDOW = '0000000000000000';

/** Sessions and queues that all walks use. Each job is in a queue of its own: a claim of it takes no other, and locks no other's lane. */
export interface Stage {
  transactions: ReplayTransaction[];
  queues: string[];
  maintenance?: Client;
  observer?: Client;
}

interface Answer {
  readonly key: number;
  readonly job: number;
  readonly deduplicated: boolean;
}

/** What the fields of the steps of `uniqueness` can be. */
interface Operands {
  readonly conn: number;
  readonly job: number;
  readonly jobs: readonly number[];
  readonly key: number;
  readonly batch: readonly number[];
  readonly form: string;
  readonly delayed: boolean;
  readonly outcome: string;
  readonly buries: boolean;
  readonly waitsFor: number;
  readonly answers: readonly Answer[];
  readonly isRefused: boolean;
}

/** An enqueue that has not been answered yet. */
interface Enqueue {
  readonly batch: readonly number[];
  readonly queues: readonly string[];
  readonly answers: Answer[];
}

/** Does what `uniqueness` says: each connection with a transaction that is really open, and statements that really wait. */
export class UniquenessEngine implements Engine {
  readonly #jobs: ReplayJobs;
  readonly #enqueues = new Map<number, Enqueue>();
  readonly #keys: readonly string[];
  #queuesUsed = 0;

  private constructor(
    private readonly database: ReplayDatabase,
    private readonly stage: Required<Stage>,
    private readonly port: PgAdapter,
    self: string,
    private readonly maxAttempts: number,
    private readonly jobCount: number,
    keys: number,
    walk: number,
  ) {
    this.#jobs = new ReplayJobs(database, port, self);
    this.#keys = Array.from({ length: keys }, (_, at) => {
      // In the order of the model's numbers: that is the order in which they are taken.
      const hash = createHash('sha256').update(`${walk} ${at}`).digest('hex').slice(0, 30);
      return `${(at + 1).toString(16).padStart(2, '0')}${hash}${WINDOW}`;
    });
  }

  static async open(
    database: ReplayDatabase,
    bounds: {
      readonly CONNS: number;
      readonly KEYS: number;
      readonly JOBS: number;
      readonly ATTEMPTS: number;
    },
    stage: Stage,
    walk: number,
  ): Promise<UniquenessEngine> {
    while (stage.transactions.length < bounds.CONNS)
      stage.transactions.push(await ReplayTransaction.open(database));
    const maintenance = (stage.maintenance ??= await database.client());
    const observer = (stage.observer ??= await database.ownerClient());
    const port = new PgAdapter(maintenance);
    if (stage.queues.length === 0) {
      stage.queues.push(...Array.from({ length: QUEUES }, () => `replay-${randomUUID()}`));
      await registerQueues(
        port,
        SCHEMA,
        stage.queues.map((name) => ({ name })),
      );
    }
    return new UniquenessEngine(
      database,
      { ...stage, maintenance, observer },
      port,
      await registerTestInstance(port),
      bounds.ATTEMPTS,
      bounds.JOBS,
      bounds.KEYS,
      walk,
    );
  }

  /** When statements can go on, or wait in a circle, the server has decided whose turn it is. */
  async happened(possible: () => readonly Step[]): Promise<Step | undefined> {
    if (!this.stage.transactions.some(({ isWaiting }) => isWaiting)) return undefined;
    const steps = possible();
    if (steps.some(({ tag }) => tag !== 'Resumed' && tag !== 'Deadlocked')) return undefined;
    return until(
      async () => {
        for (const step of steps) if (await this.#hasHappened(step)) return step;
        return undefined;
      },
      { what: `one of ${JSON.stringify(steps)}` },
    );
  }

  async perform({ tag, value }: Step): Promise<void> {
    const operands = value as unknown as Operands;
    const { conn, job, key, buries } = operands;
    switch (tag) {
      case 'Enqueued':
        return this.#enqueue(operands);
      case 'Retried': {
        const ids = operands.jobs.map((each) => this.#jobs.id(each));
        return this.#call(operands, (port) => retryDeadLetters(port, SCHEMA, ids, true, {}));
      }
      case 'CancelledJob':
        return this.#call(
          operands,
          (port) => cancelJobs(port, SCHEMA, [this.#jobs.id(job)], 'replay'),
          false,
        );
      case 'CancelledKey': {
        const named = { key: this.#key(key), periodMs: undefined };
        return this.#call(operands, (port) => cancelUniqueJob(port, SCHEMA, named, 'replay'), false);
      }
      case 'Resumed':
        this.#enqueues.get(conn)?.answers.push(...operands.answers);
        return operands.waitsFor === 0 ? this.#finish(operands) : undefined;
      case 'Completed': {
        const { port } = await this.#begun(conn);
        return expectSame('stale', await completeAttempts(port, SCHEMA, [this.#jobs.attempt(job)]), []);
      }
      case 'Settled':
        return this.#settle(operands);
      case 'Moved': {
        const { port } = await this.#begun(conn);
        return expectSame('moved', await moveFailedToDlq(port, SCHEMA, [this.#jobs.id(job)], 'replay'), [
          this.#jobs.id(job),
        ]);
      }
      case 'Purged': {
        const { port } = await this.#begun(conn);
        return expectSame('purged', await purgeDeadLetters(port, SCHEMA, [this.#jobs.id(job)], false), [
          this.#jobs.id(job),
        ]);
      }
      case 'Fixed':
        return this.#transaction(value as number).beginFixed();
      case 'Marked':
        await (await this.#begun(value as number)).client.query('SAVEPOINT mark');
        return;
      case 'Unmarked':
        await this.#transaction(value as number).client.query('ROLLBACK TO mark; RELEASE mark');
        return;
      case 'Committed':
        return this.#transaction(value as number).end('COMMIT');
      case 'RolledBack':
      case 'Deadlocked':
        this.#enqueues.delete(value as number);
        return this.#transaction(value as number).end('ROLLBACK');
      case 'CameLate': {
        const late = await this.#jobs.lateAttempt(value as number);
        return expectSame('stale', await completeAttempts(this.port, SCHEMA, [late]), [late]);
      }
      case 'Claimed':
        return this.#jobs.claim(value as number);
      case 'Promoted':
        return this.#jobs.promote(value as number);
      case 'Rescued':
        return this.#jobs.rescue(job, buries);
      case 'Rotated':
        return expectSame(
          'in the way',
          await rotateRing(this.port, SCHEMA, await this.#segment(value as RingName, false)),
          undefined,
        );
      case 'Pruned':
        return expectSame(
          'in the way',
          await pruneRing(this.port, SCHEMA, await this.#segment(value as RingName, true)),
          undefined,
        );
      case 'PeriodEnded':
        await this.#byHand(
          "UPDATE awa.job_unique_claims SET expires_at = clock_timestamp() - interval '1 s'",
          value as number,
        );
        return;
      case 'Swept':
        await expireUniqueKeys(this.port, SCHEMA, 100);
        return;
      case 'Tampered':
        await this.#byHand('DELETE FROM awa.job_unique_claims', value as number);
        return;
      default:
        throw new Error(`there is no such operation: ${tag}`);
    }
  }

  async observe(): Promise<Readonly<Record<string, Plain>>> {
    const look = async (client: Client) => {
      const ids = Array.from({ length: this.jobCount }, (_, at) => this.#jobs.find(at + 1) ?? null);
      const { rows } = await client.query<{ view: Plain; sealed: Plain }>({
        name: 'observe', // planned once: planning takes longer than the rest
        text: OBSERVE,
        values: [ids, this.#keys],
      });
      return rows[0]!;
    };
    const { view, sealed } = await look(this.stage.observer);
    const own: Record<string, Plain> = {};
    for (const [at, transaction] of this.stage.transactions.entries()) {
      if (transaction.isCurrent) own[at + 1] = (await look(transaction.client)).view;
    }
    const waiting = this.stage.transactions.flatMap(({ isWaiting }, at) => (isWaiting ? [at + 1] : []));
    return { committed: view, own, waiting, sealed };
  }

  /** Ends what is open, so that the next walk can use the connections. */
  async close(): Promise<void> {
    for (const transaction of this.stage.transactions) await transaction.end('ROLLBACK');
  }

  async #hasHappened({ tag, value }: Step): Promise<boolean> {
    if (tag === 'Deadlocked') {
      const outcome = this.#transaction(value as number).outcome;
      return outcome !== undefined && 'error' in outcome && outcome.error.code === '40P01';
    }
    const { conn, waitsFor } = value as unknown as Operands;
    const transaction = this.#transaction(conn);
    if (waitsFor === 0) return transaction.outcome !== undefined;
    return (await transaction.blockers()).includes(this.#transaction(waitsFor).pid);
  }

  async #enqueue(operands: Operands): Promise<void> {
    const { conn, batch, form, delayed, answers } = operands;
    const queues: string[] = [];
    for (const _ of batch) queues.push(this.#queue());
    const ended = ['completed', 'failed', 'cancelled'];
    const isTimed = form === 'period';
    const jobs = batch.map((key, at) => ({
      ...newJob(queues[at]!, {
        delayMs: delayed ? HOUR_MS : undefined,
        maxAttempts: this.maxAttempts,
      }),
      unique: {
        key: isTimed ? this.#key(key).slice(0, -WINDOW.length) : this.#key(key),
        periodMs: isTimed ? PERIOD_MS : undefined,
        heldAfter: form === 'plain' ? [] : form === 'ended' || isTimed ? ended : [form],
      },
    }));
    this.#enqueues.set(conn, { batch, queues, answers: [...answers] });
    await this.#call(operands, (port) => enqueueUniqueJobs(port, SCHEMA, jobs));
  }

  /** Makes a call that may wait. */
  async #call(
    operands: Operands,
    statement: (port: PgAdapter) => Promise<unknown>,
    isKey = true,
  ): Promise<void> {
    const { conn, waitsFor } = operands;
    const transaction = this.#transaction(conn);
    await transaction.start(() => statement(transaction.port));
    if (waitsFor === 0) await this.#finish(operands);
    // Of several that wait to lock one row, only the first waits for who has it.
    else await transaction.blocked(isKey ? this.#transaction(waitsFor) : undefined);
  }

  /** A call has been answered. Of an enqueue, the answers name jobs. */
  async #finish({ conn, isRefused }: Operands): Promise<void> {
    const answer = await this.#transaction(conn).take();
    const enqueue = this.#enqueues.get(conn);
    this.#enqueues.delete(conn);
    if (enqueue === undefined) return;
    if (isRefused) return expectSame('the answer', answer, undefined);
    const results = answer as readonly UniqueEnqueue[];
    const expected = enqueue.batch.map((key, at) => {
      const said = enqueue.answers.find((each) => each.key === key)!;
      const isFirst = enqueue.batch.indexOf(key) === at;
      if (!said.deduplicated && isFirst && results[at]?.deduplicated === false) {
        this.#jobs.add(said.job, results[at].id, enqueue.queues[at]!);
      }
      return { id: this.#jobs.find(said.job), deduplicated: said.deduplicated || !isFirst };
    });
    expectSame('the answer', results, expected);
  }

  async #settle({ conn, job, outcome, buries }: Operands): Promise<void> {
    await this.#jobs.setDeadLetters(job, buries);
    const { port } = await this.#begun(conn);
    const settlement = {
      job: this.#jobs.attempt(job),
      outcome: outcome as AttemptOutcome,
      error: 'why',
      delayMs: HOUR_MS,
    };
    const [state] = await settleAttempts(port, SCHEMA, [settlement]);
    if (state === undefined) throw new Error('the settlement was stale');
  }

  async #segment(ring: RingName, isSealed: boolean): Promise<RingSegment> {
    const segments = await listRingSegments(this.port, SCHEMA);
    return segments.find((each) => each.ring === ring && (each.sealedAgoMs !== undefined) === isSealed)!;
  }

  async #byHand(statement: string, key: number): Promise<void> {
    const { rowCount } = await this.database.query(`${statement} WHERE unique_key = decode($1, 'hex')`, [
      this.#key(key),
    ]);
    expectSame('keys that were there', rowCount, 1);
  }

  async #begun(conn: number): Promise<ReplayTransaction> {
    const transaction = this.#transaction(conn);
    await transaction.begin();
    return transaction;
  }

  /** A queue that no job of this walk is in. */
  #queue(): string {
    const queue = this.stage.queues[this.#queuesUsed++];
    if (queue === undefined) throw new Error(`a walk may enqueue ${QUEUES} times`);
    return queue;
  }

  #transaction(conn: number): ReplayTransaction {
    return this.stage.transactions[conn - 1]!;
  }

  #key(key: number): string {
    return this.#keys[key - 1]!;
  }
}
