import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { Logger } from '@nestjs/common';
import { adoptForeignCluster } from '../migrate/adopt-cluster.js';
import type { ResolvedWorkerOptions } from '../options/resolve-options.js';
import type { Database } from '../storage/connection/database.js';
import { ManagedClient } from '../storage/connection/managed-client.js';
import { PipelinedPort } from '../storage/connection/pipelined-port.js';
import type { ClaimedJob } from '../storage/operations/claim-jobs.js';
import type { Settlement } from '../storage/operations/close-attempts.js';
import { deregisterInstance, heartbeat, registerInstance } from '../storage/operations/instances.js';
import { VERSION } from '../version.js';
import { AttemptStateWriter } from './attempt-state-writer.js';
import { Attempt, CancelledAbort, ShutdownAbort } from './attempt.js';
import type { AttemptTransactions } from './attempt-transactions.js';
import { ClaimBook } from './claim-book.js';
import { Claimer } from './claimer.js';
import { type ClosedState, CompletionBatcher } from './completion-batcher.js';
import { type AttemptResult, type Executor, RELEASED } from './executor.js';
import type { JobEvents } from './job-events.js';
import { QueueSlots } from './queue-slots.js';
import { reportClosed } from './report-closed.js';
import { SupervisedLoop } from './supervised-loop.js';
import { WakeListener } from './wake-listener.js';

/** A statement that takes longer has lost its connection; in milliseconds. */
const ANSWER_TIMEOUT_MS = 30_000;

/** After their signals have been aborted, handlers get so long to come back, in milliseconds. */
const ABORT_GRACE_MS = 1_000;

/** How long a shutdown waits for a database that does not take the last results, and then for it to take leave, in milliseconds. */
const LAST_FLUSH_MS = 5_000;
const LEAVE_MS = 2_000;

/** How long it waits for listeners to hear the last events, in milliseconds. */
const EVENTS_MS = 1_000;

/**
 * The working half of a process, wired together. The way of a job: the claimer takes it -> an attempt runs it in the
 * executor -> its result goes to the batcher, and its slot is free -> the batcher makes it durable.
 *
 * States: new -> running (start) -> claiming stopped (stopClaiming) -> drained and closed (drain).
 */
export class WorkerRuntime {
  private readonly logger = new Logger('Awa worker');
  private readonly client: ManagedClient;
  private readonly port: PipelinedPort;
  private readonly slots: QueueSlots;
  private readonly book = new ClaimBook();
  private readonly batcher: CompletionBatcher;
  private readonly states: AttemptStateWriter;
  private readonly claimer: Claimer;
  private readonly listener: WakeListener;
  private readonly heartbeats = new SupervisedLoop('heartbeat', () => this.beat());
  private readonly attempts = new Set<Attempt>();
  /** Whose handlers have called completeIn(). */
  private readonly completedIn = new WeakSet<ClaimedJob>();
  private id = '';
  private isLeaving = false;
  private isPaused = false;
  /** Since when contact with the server has been unbroken, in ms of the monotonic clock. */
  private contactSince = Number.POSITIVE_INFINITY;
  private lastBeatAt = Number.NEGATIVE_INFINITY;
  private onIdle: (() => void) | undefined;

  constructor(
    private readonly database: Database,
    private readonly options: ResolvedWorkerOptions,
    private readonly executor: Executor,
    private readonly transactions: AttemptTransactions,
    private readonly events: JobEvents,
    /** Told in how many milliseconds a job of this process is due again. */
    private readonly onDeferred: (inMs: number) => void,
  ) {
    this.client = new ManagedClient({
      config: database.clientConfig,
      applicationName: 'awa worker',
      pipeline: true,
      onConnect: async () => this.claimer.wake(),
    });
    this.port = new PipelinedPort(this.client, ANSWER_TIMEOUT_MS);
    this.slots = new QueueSlots(options.queues);
    this.batcher = new CompletionBatcher(this.port, database.schema, (job, state, settlement) =>
      this.closed(job, state, settlement),
    );
    this.states = new AttemptStateWriter(this.port, database.schema);
    this.claimer = new Claimer(this.port, database, this.slots, this.book, {
      pollIntervalMs: options.pollIntervalMs,
      instanceId: () => this.id,
      isBlocked: () => this.isPaused || this.batcher.isFull,
      run: (job) => void this.runAttempt(job),
      handBack: (job) => this.handBack(job),
    });
    const queues = new Set(options.queues.map(({ name }) => name));
    this.listener = new WakeListener(
      database,
      (queue) => {
        if (queue === undefined || queues.has(queue)) this.claimer.wake();
      },
      (jobId, runLease) => this.cancelAttempt(jobId, runLease),
    );
  }

  /** The name under which this process claims now. */
  get instanceId(): string {
    return this.id;
  }

  /** For how long contact with the server has been unbroken, in milliseconds. */
  get contactMs(): number {
    return Math.max(performance.now() - this.contactSince, 0);
  }

  /** Registers this process and begins to work. @throws DatabaseUnavailableError when the database is not there. */
  async start(): Promise<void> {
    await this.register();
    this.heartbeats.start();
    this.batcher.start();
    this.states.start();
    this.listener.start();
    this.claimer.start();
    const queues = this.options.queues.map(({ name, maxWorkers }) => `${name} (${maxWorkers})`).join(', ');
    this.logger.log(`working on ${queues} as instance ${this.id}`);
  }

  /** New work may be there. */
  wake(): void {
    this.claimer.wake();
  }

  /** Claims nothing until `resume`. Resolves when no claim is under way. */
  async pause(): Promise<void> {
    this.isPaused = true;
    await this.claimer.settled();
  }

  resume(): void {
    this.isPaused = false;
    this.claimer.wake();
  }

  /** Claims nothing any more; what runs goes on. */
  async stopClaiming(): Promise<void> {
    await this.claimer.stop();
  }

  /**
   * Waits for the handlers, hands back what does not end in time, makes all results durable and closes the connections.
   * Heartbeats go on until the end.
   */
  async drain(): Promise<void> {
    await this.stopClaiming();
    await this.waitForHandlers();
    await withTimeout(this.batcher.drained(), LAST_FLUSH_MS);
    await withTimeout(this.leave(), LEAVE_MS);
    // Whatever still waits for an answer is cut off.
    await Promise.all([
      this.listener.stop(),
      this.client.close(),
      this.batcher.stop(),
      this.states.stop(),
      this.heartbeats.stop(),
    ]);
    await withTimeout(this.events.settled(), EVENTS_MS);
    const lost = this.batcher.pending;
    if (lost > 0) this.logger.error(`${lost} result(s) could not be stored: their jobs will run again`);
  }

  /** Without its row, what the process may still hold is anybody's to take over. */
  private async leave(): Promise<void> {
    this.isLeaving = true;
    if (this.id === '') return;
    await deregisterInstance(this.port, this.database.schema, this.id).catch(() => undefined);
  }

  private async runAttempt(job: ClaimedJob): Promise<void> {
    const attempt = new Attempt(job, this.states, (...call) => this.transactions.completeIn(...call));
    this.attempts.add(attempt);
    this.events.began(job);
    const result = await this.executor.run(attempt);
    this.events.ended(job);
    // What it said last goes on with the job. A refusal is the result's to hear as well.
    if (result !== 'completed' && attempt.state.isDirty) await attempt.state.flush().catch(() => undefined);
    attempt.state.close();
    if (!attempt.isAbandoned) this.finish(attempt, result, attempt.state.mayBeStored);
    this.attempts.delete(attempt);
    if (this.attempts.size === 0) this.onIdle?.();
  }

  /** The slot is free as soon as the result is known; making it durable is the batcher's business, unless it is so already. */
  private finish(attempt: Attempt, result: AttemptResult, mayHaveState = false): void {
    const { job, committedAs, isUnsure, isCompletedIn } = attempt;
    if (isCompletedIn) this.completedIn.add(job);
    const settlement = result === 'completed' ? undefined : { job, ...result };
    if (committedAs !== undefined) this.closed(job, committedAs, settlement);
    else if (settlement === undefined) this.batcher.complete(job, mayHaveState, isUnsure);
    else this.batcher.settle(settlement, isUnsure);
    this.freeSlot(job);
  }

  private handBack(job: ClaimedJob): void {
    this.batcher.settle({ job, ...RELEASED });
    this.freeSlot(job);
  }

  private freeSlot({ queue }: ClaimedJob): void {
    this.slots.release(queue);
    this.claimer.slotFreed(queue);
  }

  /** The end of an attempt is durable. */
  private closed(job: ClaimedJob, state: ClosedState, settlement: Settlement | undefined): void {
    this.book.close(job);
    reportClosed(job, state, settlement);
    // Its transaction has closed it, and is over.
    if (state === 'stale' && this.completedIn.has(job)) this.events.closed(job, 'completed', undefined);
    else this.events.closed(job, state, settlement);
    if (state === 'retryable' || state === 'scheduled') this.onDeferred(settlement?.delayMs ?? 0);
  }

  private cancelAttempt(jobId: string, runLease: number): void {
    for (const attempt of this.attempts) {
      if (attempt.job.jobId !== jobId || attempt.job.runLease !== runLease) continue;
      attempt.abort(new CancelledAbort());
      this.events.cancelled(attempt.job);
    }
  }

  private async waitForHandlers(): Promise<void> {
    if (await this.handlersEnded(this.options.shutdownTimeoutMs)) return;
    this.logger.warn(`${this.attempts.size} job(s) still run: aborting them`);
    for (const attempt of this.attempts) attempt.abort(new ShutdownAbort());
    if (await this.handlersEnded(ABORT_GRACE_MS)) return;
    this.logger.warn(`${this.attempts.size} job(s) did not stop: handing them back while they run on`);
    await withTimeout(this.states.flushed(), ABORT_GRACE_MS);
    for (const attempt of this.attempts) {
      attempt.abandon();
      attempt.state.close();
      this.finish(attempt, RELEASED);
    }
  }

  private handlersEnded(timeoutMs: number): Promise<boolean> {
    if (this.attempts.size === 0) return Promise.resolve(true);
    const ended = new Promise<void>((resolve) => {
      this.onIdle = resolve;
    });
    return withTimeout(ended, timeoutMs);
  }

  private async register(): Promise<void> {
    const instanceId = randomUUID();
    await registerInstance(this.port, this.database.schema, {
      instanceId,
      hostname: hostname(),
      pid: process.pid,
      version: VERSION,
      queues: this.options.queues.map(({ name }) => name),
      staleAfterMs: this.options.heartbeatStaleMs,
    });
    this.id = instanceId;
  }

  /** Declared lost (this process was stopped or cut off for long): what it runs belongs to others, it starts anew. */
  private async beat(): Promise<number> {
    const { heartbeatIntervalMs } = this.options;
    if (this.isLeaving) return heartbeatIntervalMs;
    try {
      if (!(await heartbeat(this.port, this.database.schema, this.id))) {
        this.logger.error(
          `instance ${this.id} was declared lost: aborting ${this.attempts.size} job(s), registering anew`,
        );
        for (const attempt of this.attempts)
          attempt.abort(new Error('This worker was declared lost: the job was taken over.'));
        // Struck off: it may also be that the database was restored under this process.
        await adoptForeignCluster(this.database, this.port);
        await this.register();
      }
    } catch (error) {
      this.contactSince = Number.POSITIVE_INFINITY;
      throw error;
    }
    // A beat that came late says that there was a time in which others may not have come through either.
    const now = performance.now();
    if (this.contactSince > now || now - this.lastBeatAt > 2 * heartbeatIntervalMs) this.contactSince = now;
    this.lastBeatAt = now;
    return heartbeatIntervalMs;
  }
}

/** Whether the work ended within the time. */
async function withTimeout(work: Promise<void>, timeoutMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), timeoutMs);
  });
  try {
    return await Promise.race([work.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
