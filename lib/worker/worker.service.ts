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
import { MaintenanceService } from '../maintenance/maintenance.service.js';
import { PromotionTask } from '../maintenance/promotion.task.js';
import { ringPolicies } from '../maintenance/ring-policies.js';
import { RingsTask } from '../maintenance/rings.task.js';
import { RescueTask } from '../maintenance/rescue.task.js';
import type { ResolvedAwaOptions } from '../options/resolve-options.js';
import { AWA_DATABASE, AWA_OPTIONS } from '../options/tokens.js';
import type { Database } from '../storage/connection/database.js';
import { Executor } from './executor.js';
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
    const { worker, queueNames, jobs } = this.options;
    if (worker === undefined) return;
    const registry = HandlerRegistry.build(this.explorer.explore(), queueNames, jobs);
    const runtime = new WorkerRuntime(this.database, worker, new Executor(registry, this.moduleRef), (inMs) =>
      promotion.expect(inMs),
    );
    const { schema } = this.database;
    const promotion = new PromotionTask(runtime.port, schema, () => runtime.wake());
    const rescue = new RescueTask(runtime.port, schema, worker.heartbeatIntervalMs);
    const rings = new RingsTask(runtime.port, schema, ringPolicies(this.options.retention));
    const deadLetters = new DeadLetterRetentionTask(runtime.port, schema);
    this.runtime = runtime;
    await runtime.start();
    this.maintenance.start([promotion, rescue, rings, deadLetters]);
  }

  async onModuleDestroy(): Promise<void> {
    await this.maintenance.stop();
    await this.runtime?.stopClaiming();
  }

  async beforeApplicationShutdown(): Promise<void> {
    await this.runtime?.drain();
  }
}
