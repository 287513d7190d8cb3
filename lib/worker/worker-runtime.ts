import { Logger } from '@nestjs/common';
import { adoptForeignCluster } from '../migrate/adopt-cluster.js';
import type { ResolvedWorkerOptions } from '../options/resolve-options.js';
import type { Database } from '../storage/connection/database.js';
import { ManagedClient } from '../storage/connection/managed-client.js';
import { PipelinedPort } from '../storage/connection/pipelined-port.js';
import { AttemptCloser } from './attempt-closer.js';
import { AttemptRunner } from './attempt-runner.js';
import { AttemptStateWriter } from './attempt-state-writer.js';
import type { AttemptTransactions } from './attempt-transactions.js';
import { Canceller } from './canceller.js';
import { ClaimBook } from './claim-book.js';
import { ClaimPermits } from './claim-permits.js';
import { Claimer } from './claimer.js';
import { CompletionBatcher } from './completion-batcher.js';
import { Dispatcher } from './dispatcher.js';
import type { Executor } from './executor.js';
import { Heartbeat } from './heartbeat.js';
import type { JobEvents } from './job-events.js';
import { KindLimits } from './kind-limits.js';
import { Lingering } from './lingering.js';
import { PrefetchSizes } from './prefetch-sizes.js';
import { ReservedSlots } from './queue-slots.js';
import type { Timeouts } from './timeouts.js';
import { WakeListener } from './wake-listener.js';
import { WeightedSlots } from './weighted-slots.js';
import { withTimeout } from './with-timeout.js';
import { WorkerInstance } from './worker-instance.js';

/** A statement that takes longer has lost its connection; in milliseconds. */
const ANSWER_TIMEOUT_MS = 30_000;

/** How long a shutdown waits for a database that does not take the last results, and then for it to take leave, in milliseconds. */
const LAST_FLUSH_MS = 5_000;
const LEAVE_MS = 2_000;

/** How long it waits for listeners to hear the last events, in milliseconds. */
const EVENTS_MS = 1_000;

/**
 * The working half of a process, wired together. The way of a job: the claimer takes it -> the dispatcher starts it when a
 * slot is free -> the attempt runner runs it in the executor -> its result goes to the attempt closer, and its slot is free ->
 * the batcher makes it durable -> the closer tells everybody.
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
  private readonly instance: WorkerInstance;
  private readonly closer: AttemptCloser;
  private readonly runner: AttemptRunner;
  private isPaused = false;

  constructor(
    private readonly database: Database,
    private readonly options: ResolvedWorkerOptions,
    executor: Executor,
    timeouts: Timeouts,
    transactions: AttemptTransactions,
    private readonly events: JobEvents,
    /** Told when a job was put off for a moment only. */
    onDueSoon: () => void,
    /** Told when the leader of the maintenance has resigned. */
    onLeaderGone: () => void,
  ) {
    this.client = new ManagedClient({
      config: database.clientConfig,
      applicationName: 'awa worker',
      pipeline: true,
      onConnect: async () => this.claimer.wake(),
    });
    this.port = new PipelinedPort(this.client, ANSWER_TIMEOUT_MS);
    this.instance = new WorkerInstance(this.port, database.schema, options, timeouts);
    this.heartbeat = new Heartbeat({
      port: this.port,
      schema: database.schema,
      clientConfig: database.clientConfig,
      intervalMs: options.heartbeatIntervalMs,
      maxBlockedLoopMs: options.maxBlockedLoopMs,
      onLost: (instanceId) => this.startAnew(instanceId),
    });
    this.batcher = new CompletionBatcher(this.port, database.schema, (job, state, settlement) =>
      this.closer.closed(job, state, settlement),
    );
    this.closer = new AttemptCloser({
      batcher: this.batcher,
      book: this.book,
      events,
      onStored: () => this.claimer.resultStored(),
    });
    this.states = new AttemptStateWriter(this.port, database.schema);
    this.runner = new AttemptRunner({
      executor,
      timeouts,
      transactions,
      states: this.states,
      closer: this.closer,
      events,
      lingering: new Lingering(options.queues),
      freeSlot: (job) => this.dispatcher.ended(job),
    });
    const { queues, globalMaxWorkers, pollIntervalMs } = options;
    const slots =
      globalMaxWorkers === undefined
        ? new ReservedSlots(queues)
        : new WeightedSlots(globalMaxWorkers, queues);
    const prefetch = new PrefetchSizes(queues);
    this.permits = new ClaimPermits(queues, slots, (queue, isAlong) =>
      this.dispatcher.prefetchRoom(queue, isAlong),
    );
    this.dispatcher = new Dispatcher({
      slots,
      prefetch,
      kinds: new KindLimits((kind) => executor.concurrencyOf(kind)),
      isPaced: (queue) => this.permits.isPaced(queue),
      start: (job) => void this.runner.run(job),
      giveBack: (job, result) => {
        this.permits.returned(job.queue);
        this.closer.closeUnstarted(job, result);
      },
      drop: (job) => this.book.close(job),
      onRoom: () => this.claimer.slotFreed(),
    });
    const names = queues.map(({ name }) => name);
    this.claimer = new Claimer(this.port, database, this.permits, prefetch, this.book, {
      queues: names,
      pollIntervalMs,
      instanceId: () => this.instance.id,
      hearsNotifications: () => this.hearsNotifications,
      isBlocked: () => this.isPaused || this.batcher.isFull,
      accept: (jobs) => this.dispatcher.accept(jobs),
    });
    this.canceller = new Canceller(this.port, database.schema, {
      attempts: () => this.runner.underWay,
      isListening: () => this.listener.isWorking,
      onCancelled: (job) => events.cancelled(job),
    });
    this.listener = new WakeListener(database, this.port, {
      onWake: (queue, priority) => {
        if (queue === undefined || names.includes(queue)) this.claimer.wake(queue, priority);
      },
      onCancel: (jobId, runLease) => {
        this.dispatcher.cancel(jobId, runLease);
        this.canceller.cancel(jobId, runLease);
      },
      onDueSoon,
      onLeaderGone,
    });
  }

  /** The name under which this process claims now. */
  get instanceId(): string {
    return this.instance.id;
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
    await this.instance.register();
    this.heartbeat.start(this.instance.id);
    this.batcher.start();
    this.states.start();
    this.listener.start();
    this.canceller.start();
    this.claimer.start();
    const { queues, globalMaxWorkers } = this.options;
    const list = queues.map(({ name, maxWorkers }) => `${name} (${maxWorkers})`).join(', ');
    const most = globalMaxWorkers === undefined ? '' : `, ${globalMaxWorkers} in all,`;
    this.logger.log(`working on ${list}${most} as instance ${this.instance.id}`);
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
    await this.runner.drain(this.options.shutdownTimeoutMs);
    await withTimeout(this.batcher.drained(), LAST_FLUSH_MS);
    this.heartbeat.leave();
    await withTimeout(this.instance.deregister(), LEAVE_MS);
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
    this.closer.end();
    const lost = this.batcher.pending;
    if (lost > 0) this.logger.error(`${lost} result(s) could not be stored: their jobs will run again`);
  }

  /** Cuts the time short that drain() gives to handlers: they are aborted now. */
  hurry(): void {
    this.runner.hurry();
  }

  /** Declared lost (this process was stopped or cut off for long): what it runs belongs to others, it starts anew. */
  private async startAnew(lostId: string): Promise<string> {
    this.logger.error(
      `instance ${lostId} was declared lost: aborting ${this.runner.underWay.size} job(s), registering anew`,
    );
    this.runner.abort(() => new Error('This worker was declared lost: the job was taken over.'));
    this.dispatcher.handBack();
    // Struck off: it may also be that the database was restored under this process.
    await adoptForeignCluster(this.database, this.port);
    await this.instance.register();
    return this.instance.id;
  }
}
