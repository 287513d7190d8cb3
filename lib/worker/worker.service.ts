import {
  type BeforeApplicationShutdown,
  Inject,
  Injectable,
  type OnApplicationBootstrap,
  type OnModuleDestroy,
} from '@nestjs/common';
import { ModuleRef, ModulesContainer } from '@nestjs/core';
import { HandlerRegistry } from '../discovery/handler.registry.js';
import { JobEventExplorer } from '../discovery/job-event.explorer.js';
import { JobHandlerExplorer } from '../discovery/job-handler.explorer.js';
import { BootError, NotStartedError } from '../errors/index.js';
import { DeadLetterRetentionTask } from '../maintenance/dead-letter-retention.task.js';
import { DeadlinesTask } from '../maintenance/deadlines.task.js';
import { Leadership } from '../maintenance/leadership.js';
import { leadershipTiming } from '../maintenance/leadership-timing.js';
import { MaintenanceService } from '../maintenance/maintenance.service.js';
import { PromotionTask } from '../maintenance/promotion.task.js';
import { ringPolicies } from '../maintenance/ring-policies.js';
import { RingsTask } from '../maintenance/rings.task.js';
import { RescueTask } from '../maintenance/rescue.task.js';
import { UniqueKeysTask } from '../maintenance/unique-keys.task.js';
import type { ResolvedAwaOptions, ResolvedWorkerOptions } from '../options/resolve-options.js';
import { AWA_DATABASE, AWA_OPTIONS } from '../options/tokens.js';
import { applicationDataSource, type Database } from '../storage/connection/database.js';
import { AttemptTransactions } from './attempt-transactions.js';
import { Executor } from './executor.js';
import { HandlerEnhancers } from './handler-enhancers.js';
import { JobEvents } from './job-events.js';
import { WorkerControl, type WorkerUnit } from './worker-control.js';
import { Timeouts } from './timeouts.js';
import { WorkerRuntime } from './worker-runtime.js';

/**
 * Ties the worker to Nest's life: work begins when every module is up, claiming ends as soon as the application begins to
 * close, and the drain happens while the rest of it (its DataSource, its HTTP server, QueueService) still works.
 *
 * In between it can be stopped and started again; each start has a runtime of its own.
 */
@Injectable()
export class WorkerService
  implements OnApplicationBootstrap, OnModuleDestroy, BeforeApplicationShutdown, WorkerUnit
{
  private runtime: WorkerRuntime | undefined;
  private registry: HandlerRegistry | undefined;
  private events = new JobEvents();
  private isPaused = false;
  private isClosing = false;

  constructor(
    @Inject(AWA_OPTIONS) private readonly options: ResolvedAwaOptions,
    @Inject(AWA_DATABASE) private readonly database: Database,
    private readonly explorer: JobHandlerExplorer,
    private readonly eventExplorer: JobEventExplorer,
    private readonly maintenance: MaintenanceService,
    private readonly moduleRef: ModuleRef,
    private readonly modules: ModulesContainer,
    private readonly control: WorkerControl,
  ) {}

  async onApplicationBootstrap(): Promise<void> {
    const { worker, queueNames, jobs } = this.options;
    if (worker === undefined) return;
    try {
      const hasDataSource = applicationDataSource(this.database) !== undefined;
      this.registry = HandlerRegistry.build(this.explorer.explore(), queueNames, jobs, hasDataSource);
      const { listeners, problems } = this.eventExplorer.explore();
      if (problems.length > 0) throw new BootError(problems);
      this.events = new JobEvents(listeners);
      this.control.open(this);
      if (worker.autoStart) await this.control.start();
    } catch (error) {
      // Boot has failed, and no shutdown hook will run.
      await this.beforeApplicationShutdown();
      await this.database.close();
      throw error;
    }
  }

  async onModuleDestroy(): Promise<void> {
    this.isClosing = true;
    await Promise.all([this.runtime?.stopClaiming(), this.maintenance.stop()]);
  }

  /** The signal once more: whoever sends it does not want to wait for the handlers. Nest itself ignores it by now. */
  async beforeApplicationShutdown(signal?: string): Promise<void> {
    const hurry = () => this.runtime?.hurry();
    if (signal !== undefined) process.on(signal, hurry);
    try {
      await this.control.close();
    } finally {
      if (signal !== undefined) process.off(signal, hurry);
    }
  }

  async pause(): Promise<void> {
    this.isPaused = true;
    await this.runtime?.pause();
  }

  resume(): void {
    this.isPaused = false;
    this.runtime?.resume();
  }

  async stop(): Promise<void> {
    await Promise.all([this.runtime?.stopClaiming(), this.maintenance.stop()]);
    await this.runtime?.drain();
    this.runtime = undefined;
  }

  async start(): Promise<void> {
    const { worker } = this.options;
    if (worker === undefined || this.registry === undefined || this.isClosing)
      throw new NotStartedError('the worker');
    try {
      await this.run(worker, this.registry);
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  private async run(worker: ResolvedWorkerOptions, registry: HandlerRegistry): Promise<void> {
    const transactions = new AttemptTransactions(this.database);
    const enhancers = new HandlerEnhancers(this.modules);
    const executor = new Executor(registry, this.moduleRef, transactions, enhancers);
    const definitions = registry.kinds().flatMap((kind) => registry.get(kind)?.definition ?? []);
    const runtime = new WorkerRuntime(
      this.database,
      worker,
      executor,
      new Timeouts(worker.queues, definitions),
      transactions,
      this.events,
      () => promotion.expect(0),
      () => this.maintenance.takeOver(),
    );
    const { schema } = this.database;
    const leadership = new Leadership(this.database, leadershipTiming(worker.heartbeatStaleMs), runtime);
    const { prompt, patient } = leadership;
    const promotion = new PromotionTask(prompt, schema, runtime, () => runtime.wake());
    const rescue = new RescueTask(prompt, schema, worker.heartbeatIntervalMs, runtime, (attempts) => {
      promotion.expect(0);
      this.events.rescued(attempts);
    });
    const deadlines = new DeadlinesTask(prompt, schema, runtime);
    const rings = new RingsTask(patient, schema, ringPolicies(this.options.retention));
    const uniqueKeys = new UniqueKeysTask(patient, schema);
    const deadLetters = new DeadLetterRetentionTask(patient, schema);
    this.runtime = runtime;
    if (this.isPaused) await runtime.pause();
    await runtime.start();
    // The application may have begun to close while it was starting.
    if (!this.isClosing)
      this.maintenance.start(leadership, [promotion, rescue, deadlines, rings, uniqueKeys, deadLetters]);
  }
}
