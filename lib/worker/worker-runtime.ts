import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { Logger } from '@nestjs/common';
import { adoptForeignCluster } from '../migrate/adopt-cluster.js';
import { JobTimeoutError } from '../errors/index.js';
import type { ResolvedWorkerOptions } from '../options/resolve-options.js';
import type { Database } from '../storage/connection/database.js';
import { ManagedClient } from '../storage/connection/managed-client.js';
import { PipelinedPort } from '../storage/connection/pipelined-port.js';
import type { ClaimedJob } from '../storage/operations/claim-jobs.js';
import type { Settlement } from '../storage/operations/close-attempts.js';
import { deregisterInstance, registerInstance } from '../storage/operations/instances.js';
import { VERSION } from '../version.js';
import { AttemptStateWriter } from './attempt-state-writer.js';
import { Attempt, ShutdownAbort } from './attempt.js';
import { Canceller } from './canceller.js';
import type { AttemptTransactions } from './attempt-transactions.js';
import { ClaimBook } from './claim-book.js';
import { ClaimPermits } from './claim-permits.js';
import { Claimer } from './claimer.js';
import { type ClosedState, CompletionBatcher } from './completion-batcher.js';
import { Deadline } from './deadline.js';
import { Dispatcher } from './dispatcher.js';
import { type AttemptResult, type Executor, RELEASED } from './executor.js';
import { Heartbeat } from './heartbeat.js';
import type { JobEvents } from './job-events.js';
import { KindLimits } from './kind-limits.js';
import { Lingering } from './lingering.js';
import { PrefetchSizes } from './prefetch-sizes.js';
import { ReservedSlots } from './queue-slots.js';
import { reportClosed } from './report-closed.js';
import type { Timeouts } from './timeouts.js';
import { WakeListener } from './wake-listener.js';
import { WeightedSlots } from './weighted-slots.js';

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
 * The working half of a process, wired together. The way of a job: the claimer takes it -> the dispatcher starts it when a
 * slot is free -> an attempt runs it in the executor -> its result goes to the batcher, and its slot is free -> the batcher
 * makes it durable.
 *
 * States: new -> running (start) -> claiming stopped (stopClaiming) -> drained and closed (drain).
 */
export class WorkerRuntime {
  private readonly logger = new Logger('Awa worker');
  private readonly client: ManagedClient;
  private readonly port: PipelinedPort;
  private readonly permits: ClaimPermits;
  private readonly dispatcher: Dispatcher;
  private readonly book = new ClaimBook();
  private readonly batcher: CompletionBatcher;
  private readonly states: AttemptStateWriter;
  private readonly claimer: Claimer;
  private readonly listener: WakeListener;
  private readonly canceller: Canceller;
  private readonly heartbeat: Heartbeat;
  private readonly attempts = new Set<Attempt>();
  private readonly lingering: Lingering;
  /** Attempts that are over their time and on their way to the batcher. */
  private readonly fencing = new Set<Promise<void>>();
  /** Whose handlers have called completeIn(). */
  private readonly completedIn = new WeakSet<ClaimedJob>();
  private id = '';
  private isPaused = false;
  private onIdle: (() => void) | undefined;
  private isHurried = false;

  constructor(
    private readonly database: Database,
    private readonly options: ResolvedWorkerOptions,
    private readonly executor: Executor,
    private readonly timeouts: Timeouts,
    private readonly transactions: AttemptTransactions,
    private readonly events: JobEvents,
    /** Told when a job was put off for a moment only. */
    private readonly onDueSoon: () => void,
    /** Told when the leader of the maintenance has resigned. */
    private readonly onLeaderGone: () => void,
  ) {
    this.client = new ManagedClient({
      config: database.clientConfig,
      applicationName: 'awa worker',
      pipeline: true,
      onConnect: async () => this.claimer.wake(),
    });
    this.port = new PipelinedPort(this.client, ANSWER_TIMEOUT_MS);
    this.heartbeat = new Heartbeat({
      port: this.port,
      schema: database.schema,
      clientConfig: database.clientConfig,
      intervalMs: options.heartbeatIntervalMs,
      maxBlockedLoopMs: options.maxBlockedLoopMs,
      onLost: (instanceId) => this.startAnew(instanceId),
    });
    this.lingering = new Lingering(options.queues);
    this.batcher = new CompletionBatcher(this.port, database.schema, (job, state, settlement) =>
      this.closed(job, state, settlement),
    );
    this.states = new AttemptStateWriter(this.port, database.schema);
    const { queues, globalMaxWorkers, pollIntervalMs } = options;
    const slots =
      globalMaxWorkers === undefined
        ? new ReservedSlots(queues)
        : new WeightedSlots(globalMaxWorkers, queues);
    const prefetch = new PrefetchSizes(queues);
    this.permits = new ClaimPermits(queues, slots, (queue) => this.dispatcher.prefetchRoom(queue));
    this.dispatcher = new Dispatcher({
      slots,
      prefetch,
      kinds: new KindLimits((kind) => executor.concurrencyOf(kind)),
      isPaced: (queue) => this.permits.isPaced(queue),
      start: (job) => void this.runAttempt(job),
      giveBack: (job, result) => this.giveBack(job, result),
      drop: (job) => this.book.close(job),
      onRoom: () => this.claimer.slotFreed(),
    });
    const names = queues.map(({ name }) => name);
    this.claimer = new Claimer(this.port, database, this.permits, prefetch, this.book, {
      queues: names,
      pollIntervalMs,
      instanceId: () => this.id,
      isBlocked: () => this.isPaused || this.batcher.isFull,
      accept: (jobs) => this.dispatcher.accept(jobs),
    });
    this.canceller = new Canceller(this.port, database.schema, {
      attempts: () => this.attempts,
      isListening: () => this.listener.isWorking,
      onCancelled: (job) => this.events.cancelled(job),
    });
    this.listener = new WakeListener(database, this.port, {
      onWake: (queue) => {
        if (queue === undefined || names.includes(queue)) this.claimer.wake(queue);
      },
      onCancel: (jobId, runLease) => {
        this.dispatcher.cancel(jobId, runLease);
        this.canceller.cancel(jobId, runLease);
      },
      onDueSoon: () => this.onDueSoon(),
      onLeaderGone: () => this.onLeaderGone(),
    });
  }

  /** The name under which this process claims now. */
  get instanceId(): string {
    return this.id;
  }

  /** For how long contact with the server has been unbroken, in milliseconds. */
  get contactMs(): number {
    return this.heartbeat.contactMs;
  }

  /** Whether this process hears of jobs that are due soon. */
  get hearsNotifications(): boolean {
    return this.listener.isWorking;
  }

  /** Registers this process and begins to work. @throws DatabaseUnavailableError when the database is not there. */
  async start(): Promise<void> {
    await this.register();
    this.heartbeat.start(this.id);
    this.batcher.start();
    this.states.start();
    this.listener.start();
    this.canceller.start();
    this.claimer.start();
    const { queues, globalMaxWorkers } = this.options;
    const list = queues.map(({ name, maxWorkers }) => `${name} (${maxWorkers})`).join(', ');
    const most = globalMaxWorkers === undefined ? '' : `, ${globalMaxWorkers} in all,`;
    this.logger.log(`working on ${list}${most} as instance ${this.id}`);
  }

  /** New work may be there. */
  wake(): void {
    this.claimer.wake();
  }

  /** Claims nothing until `resume`. Resolves when no claim is under way. */
  async pause(): Promise<void> {
    this.isPaused = true;
    await this.claimer.settled();
    // What was claimed ahead would begin later.
    this.dispatcher.handBack();
  }

  resume(): void {
    this.isPaused = false;
    this.claimer.wake();
  }

  /** Claims nothing any more; what runs goes on. */
  async stopClaiming(): Promise<void> {
    // What has not been started goes back at once, also what a claim under way brings.
    this.dispatcher.stop();
    await this.claimer.stop();
  }

  /**
   * Waits for the handlers, hands back what does not end in time, makes all results durable and closes the connections.
   * Heartbeats go on until the end.
   */
  async drain(): Promise<void> {
    await this.stopClaiming();
    await this.waitForHandlers();
    await withTimeout(
      Promise.all(this.fencing).then(() => undefined),
      ABORT_GRACE_MS,
    );
    await withTimeout(this.batcher.drained(), LAST_FLUSH_MS);
    await withTimeout(this.leave(), LEAVE_MS);
    // Whatever still waits for an answer is cut off.
    await Promise.all([
      this.listener.stop(),
      this.client.close(),
      this.batcher.stop(),
      this.states.stop(),
      this.canceller.stop(),
      this.heartbeat.stop(),
    ]);
    await withTimeout(this.events.settled(), EVENTS_MS);
    const lost = this.batcher.pending;
    if (lost > 0) this.logger.error(`${lost} result(s) could not be stored: their jobs will run again`);
  }

  /** Cuts the time short that drain() gives to handlers: they are aborted now. */
  hurry(): void {
    this.isHurried = true;
    this.onIdle?.();
  }

  /** Without its row, what the process may still hold is anybody's to take over. */
  private async leave(): Promise<void> {
    this.heartbeat.leave();
    if (this.id === '') return;
    await deregisterInstance(this.port, this.database.schema, this.id).catch(() => undefined);
  }

  private async runAttempt(job: ClaimedJob): Promise<void> {
    const attempt = new Attempt(job, this.states, (...call) => this.transactions.completeIn(...call));
    this.attempts.add(attempt);
    this.events.began(job);
    const deadline = this.watch(attempt);
    const result = await this.executor.run(attempt);
    deadline?.end();
    this.events.ended(job);
    if (deadline?.state === 'fenced') this.dispatcher.ended(job);
    else if (deadline?.state === 'forsaken') this.lingering.return(job.queue);
    if (attempt.isAbandoned) return;
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
    this.dispatcher.ended(job);
  }

  /** The end of an attempt is durable. */
  private closed(job: ClaimedJob, state: ClosedState, settlement: Settlement | undefined): void {
    this.book.close(job);
    reportClosed(job, state, settlement);
    this.claimer.resultStored();
    // Its transaction has closed it, and is over.
    if (state === 'stale' && this.completedIn.has(job)) this.events.closed(job, 'completed', undefined);
    else this.events.closed(job, state, settlement);
  }

  /** A claimed job that was not started. */
  private giveBack(job: ClaimedJob, result: AttemptResult): void {
    this.permits.returned(job.queue);
    if (result !== 'completed') this.batcher.settle({ job, ...result });
  }

  private watch(attempt: Attempt): Deadline | undefined {
    const { job } = attempt;
    const timeoutMs = this.timeouts.of(job);
    if (timeoutMs === undefined) return undefined;
    const error = new JobTimeoutError(timeoutMs);
    return new Deadline(timeoutMs, {
      onOverdue: () => attempt.abort(error),
      onFence: () => void this.fence(attempt, error),
      onForsake: () => {
        this.lingering.forsake(job.queue);
        this.dispatcher.ended(job);
      },
      lingerMs: () => this.lingering.lingerMs(job.queue),
    });
  }

  /** The attempt is over, and its handler runs on, on its slot: what it returns does not count any more. */
  private async fence(attempt: Attempt, error: JobTimeoutError): Promise<void> {
    // Handed back meanwhile.
    if (attempt.isAbandoned) return;
    attempt.abandon();
    this.attempts.delete(attempt);
    const { job } = attempt;
    this.logger.error(
      `job ${job.jobId} (${job.kind}): its handler goes on after its time-out of ${error.timeoutMs} ms. It should end when its signal is aborted; until it does it keeps its slot, for a minute or longer`,
    );
    const settled = this.settleFenced(attempt, error);
    this.fencing.add(settled);
    await settled;
    this.fencing.delete(settled);
    if (this.attempts.size === 0) this.onIdle?.();
  }

  private async settleFenced(attempt: Attempt, error: JobTimeoutError): Promise<void> {
    const { job, state } = attempt;
    if (state.isDirty) await state.flush().catch(() => undefined);
    state.close();
    this.batcher.settle({ job, ...this.executor.timedOut(attempt, error) }, attempt.isUnsure);
  }

  private async waitForHandlers(): Promise<void> {
    if (this.attempts.size > 0) this.logger.log(`waiting for ${this.attempts.size} job(s) to end`);
    if (!this.isHurried) await this.handlersEnded(this.options.shutdownTimeoutMs);
    if (this.attempts.size === 0) return;
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
      timeouts: this.timeouts.toRegister(),
    });
    this.id = instanceId;
  }

  /** Declared lost (this process was stopped or cut off for long): what it runs belongs to others, it starts anew. */
  private async startAnew(lostId: string): Promise<string> {
    this.logger.error(
      `instance ${lostId} was declared lost: aborting ${this.attempts.size} job(s), registering anew`,
    );
    for (const attempt of this.attempts)
      attempt.abort(new Error('This worker was declared lost: the job was taken over.'));
    this.dispatcher.handBack();
    // Struck off: it may also be that the database was restored under this process.
    await adoptForeignCluster(this.database, this.port);
    await this.register();
    return this.id;
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
