import { type DynamicModule, Global, Module, type Provider } from '@nestjs/common';
import { AWA_DATABASE, AWA_OPTIONS } from './options/tokens.js';
import { QueueAdminService } from './admin/queue-admin.service.js';
import { DatabaseBoot } from './boot/database-boot.js';
import { DeadLetterService } from './dlq/dead-letter.service.js';
import { QueueService } from './queue/queue.service.js';
import { AwaWorker } from './worker/awa-worker.js';
import { WorkerControl } from './worker/worker-control.js';

/** Options, database and services, for the whole application: initialised first and destroyed last. */
@Global()
@Module({})
export class AwaCoreModule {
  static register(imports: DynamicModule['imports'], providers: Provider[]): DynamicModule {
    return {
      module: AwaCoreModule,
      imports: imports ?? [],
      providers: [
        ...providers,
        DatabaseBoot,
        QueueService,
        QueueAdminService,
        DeadLetterService,
        WorkerControl,
        AwaWorker,
      ],
      exports: [
        AWA_OPTIONS,
        AWA_DATABASE,
        QueueService,
        QueueAdminService,
        DeadLetterService,
        WorkerControl,
        AwaWorker,
      ],
    };
  }
}
