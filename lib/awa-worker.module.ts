import { Module } from '@nestjs/common';
import { DiscoveryModule, MetadataScanner, ModulesContainer } from '@nestjs/core';
import { SchedulerRegistry } from '@nestjs/schedule';
import { JobEventExplorer } from './discovery/job-event.explorer.js';
import { JobHandlerMetadataAccessor } from './discovery/job-handler-metadata.accessor.js';
import { JobHandlerExplorer } from './discovery/job-handler.explorer.js';
import { MaintenanceService } from './maintenance/maintenance.service.js';
import { AWA_SCHEDULE } from './options/tokens.js';
import { WorkerService } from './worker/worker.service.js';

/**
 * The worker. Its schedule is a registry of its own: another ScheduleModule, or another provider of its registry's token,
 * would make the application's own schedules fire twice, or be what the application gets when it asks for its registry.
 */
@Module({
  imports: [DiscoveryModule],
  providers: [
    { provide: AWA_SCHEDULE, useFactory: () => new SchedulerRegistry() },
    JobHandlerMetadataAccessor,
    JobHandlerExplorer,
    JobEventExplorer,
    MetadataScanner,
    MaintenanceService,
    WorkerService,
  ],
})
export class AwaWorkerModule {
  /**
   * Loops start after all of the application's providers and stop before them, wherever this module is imported. Nest
   * bootstraps modules from the farthest to the nearest, the root module being at 1, and destroys them the other way round.
   */
  constructor(modules: ModulesContainer) {
    for (const module of modules.values()) if (module.metatype === AwaWorkerModule) module.distance = 0;
  }
}
