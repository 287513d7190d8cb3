import {
  type BeforeApplicationShutdown,
  Inject,
  Injectable,
  type OnApplicationBootstrap,
  type OnModuleDestroy,
} from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import { HandlerRegistry } from '../discovery/handler.registry.js';
import { JobHandlerExplorer } from '../discovery/job-handler.explorer.js';
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
import type { Database } from '../storage/connection/database.js';
import { Executor } from './executor.js';
import { Timeouts } from './timeouts.js';
import { WorkerRuntime } from './worker-runtime.js';

/**
 * Ties the worker to Nest's life: work begins when every module is up, claiming ends as soon as the application begins to
 * close, and the drain happens while the rest of it (its DataSource, its HTTP server, QueueService) still works.
 */
@Injectable()
export class WorkerService implements OnApplicationBootstrap, OnModuleDestroy, BeforeApplicationShutdown {
  private runtime: WorkerRuntime | undefined;

  constructor(
    @Inject(AWA_OPTIONS) private readonly options: ResolvedAwaOptions,
    @Inject(AWA_DATABASE) private readonly database: Database,
    private readonly explorer: JobHandlerExplorer,
    private readonly maintenance: MaintenanceService,
    private readonly moduleRef: ModuleRef,
  ) {}

  async onApplicationBootstrap(): Promise<void> {
    const { worker } = this.options;
    if (worker === undefined) return;
    try {
      await this.start(worker);
    } catch (error) {
      // Boot has failed, and no shutdown hook will run.
      await this.beforeApplicationShutdown();
      await this.database.close();
      throw error;
    }
  }

  async onModuleDestroy(): Promise<void> {
    await Promise.all([this.runtime?.stopClaiming(), this.maintenance.stop()]);
  }

  /** The signal once more: whoever sends it does not want to wait for the handlers. Nest itself ignores it by now. */
  async beforeApplicationShutdown(signal?: string): Promise<void> {
    const hurry = () => this.runtime?.hurry();
    if (signal !== undefined) process.on(signal, hurry);
    try {
      await this.maintenance.stop();
      await this.runtime?.drain();
    } finally {
      if (signal !== undefined) process.off(signal, hurry);
    }
  }

  private async start(worker: ResolvedWorkerOptions): Promise<void> {
    const { queueNames, jobs } = this.options;
    const registry = HandlerRegistry.build(this.explorer.explore(), queueNames, jobs);
    const definitions = registry.kinds().flatMap((kind) => registry.get(kind)?.definition ?? []);
    const runtime = new WorkerRuntime(
      this.database,
      worker,
      new Executor(registry, this.moduleRef),
      new Timeouts(worker.queues, definitions),
      (inMs) => promotion.expect(inMs),
      () => this.maintenance.takeOver(),
    );
    const { schema } = this.database;
    const leadership = new Leadership(this.database, leadershipTiming(worker.heartbeatStaleMs), runtime);
    const { prompt, patient } = leadership;
    const promotion = new PromotionTask(prompt, schema, () => runtime.wake());
    // Looks twice an interval, so that a death is found within half of one after it can be told from a late heartbeat.
    const rescue = new RescueTask(prompt, schema, worker.heartbeatIntervalMs / 2, runtime, () =>
      promotion.expect(0),
    );
    const deadlines = new DeadlinesTask(prompt, schema, runtime);
    const rings = new RingsTask(patient, schema, ringPolicies(this.options.retention));
    const uniqueKeys = new UniqueKeysTask(patient, schema);
    const deadLetters = new DeadLetterRetentionTask(patient, schema);
    this.runtime = runtime;
    await runtime.start();
    this.maintenance.start(leadership, [promotion, rescue, deadlines, rings, uniqueKeys, deadLetters]);
  }
}
