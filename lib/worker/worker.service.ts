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
import { MaintenanceService } from '../maintenance/maintenance.service.js';
import { PromotionTask } from '../maintenance/promotion.task.js';
import { ringPolicies } from '../maintenance/ring-policies.js';
import { RingsTask } from '../maintenance/rings.task.js';
import { RescueTask } from '../maintenance/rescue.task.js';
import { UniqueKeysTask } from '../maintenance/unique-keys.task.js';
import type { ResolvedAwaOptions, ResolvedWorkerOptions } from '../options/resolve-options.js';
import { AWA_DATABASE, AWA_OPTIONS } from '../options/tokens.js';
import type { Database } from '../storage/connection/database.js';
import { ManagedClient } from '../storage/connection/managed-client.js';
import { PipelinedPort } from '../storage/connection/pipelined-port.js';
import { Executor } from './executor.js';
import { Timeouts } from './timeouts.js';
import { WorkerRuntime } from './worker-runtime.js';

/** A statement of maintenance that takes longer has lost its connection; in milliseconds. */
const MAINTENANCE_TIMEOUT_MS = 120_000;

/**
 * Ties the worker to Nest's life: work begins when every module is up, claiming ends as soon as the application begins to
 * close, and the drain happens while the rest of it (its DataSource, its HTTP server, QueueService) still works.
 */
@Injectable()
export class WorkerService implements OnApplicationBootstrap, OnModuleDestroy, BeforeApplicationShutdown {
  private runtime: WorkerRuntime | undefined;
  private maintenanceClient: ManagedClient | undefined;

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
      await this.runtime?.drain();
      await this.maintenanceClient?.close();
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
    );
    const { schema } = this.database;
    const port = this.openMaintenancePort();
    const promotion = new PromotionTask(port, schema, () => runtime.wake());
    // Looks twice an interval, so that a death is found within half of one after it can be told from a late heartbeat.
    const rescue = new RescueTask(port, schema, worker.heartbeatIntervalMs / 2, runtime, () =>
      promotion.expect(0),
    );
    const deadlines = new DeadlinesTask(port, schema, runtime);
    const rings = new RingsTask(port, schema, ringPolicies(this.options.retention));
    const uniqueKeys = new UniqueKeysTask(port, schema);
    const deadLetters = new DeadLetterRetentionTask(port, schema);
    this.runtime = runtime;
    await runtime.start();
    this.maintenance.start([promotion, rescue, deadlines, rings, uniqueKeys, deadLetters]);
  }

  /** A connection of its own: a long promotion or a prune that waits for a lock holds up no claim and no heartbeat. */
  private openMaintenancePort(): PipelinedPort {
    this.maintenanceClient = new ManagedClient({
      config: this.database.clientConfig,
      applicationName: 'awa maintenance',
      pipeline: true,
    });
    return new PipelinedPort(this.maintenanceClient, MAINTENANCE_TIMEOUT_MS);
  }
}
