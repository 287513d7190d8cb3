import { Module } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { ScheduleModule } from '@nestjs/schedule';
import { JobHandlerMetadataAccessor } from './discovery/job-handler-metadata.accessor.js';
import { JobHandlerExplorer } from './discovery/job-handler.explorer.js';
import { MaintenanceService } from './maintenance/maintenance.service.js';
import { WorkerService } from './worker/worker.service.js';

/**
 * The worker. Not global: so its loops start after the application's modules and stop before them. Nor is its schedule: a
 * second global ScheduleModule would make the application's own schedules fire twice, or hide its registry.
 */
@Module({
  imports: [
    DiscoveryModule,
    { ...ScheduleModule.forRoot({ cronJobs: false, intervals: false, timeouts: false }), global: false },
  ],
  providers: [JobHandlerMetadataAccessor, JobHandlerExplorer, MaintenanceService, WorkerService],
})
export class AwaWorkerModule {}
