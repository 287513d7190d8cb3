import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { AwaModule } from 'nestjs-awa';
import { CreateDocuments1767225600000 } from './create-documents.migration.js';
import { Document } from './document.entity.js';
import { DocumentRegistrar } from './document-registrar.js';
import { IndexDocumentHandler } from './index-document.handler.js';
import { IndexingState } from './indexing-state.js';
import { Progress } from './progress.js';
import { QuickstartOptions } from './quickstart-options.js';
import { Quickstart } from './quickstart.js';
import { Summary } from './summary.js';

@Module({
  imports: [
    TypeOrmModule.forRoot({
      type: 'postgres',
      url: process.env['DATABASE_URL'],
      entities: [Document],
      migrations: [CreateDocuments1767225600000],
      migrationsTableName: 'quickstart_migrations',
      migrationsRun: true,
      // One for each handler that runs at a time, and some for everybody else.
      poolSize: 20,
    }),
    TypeOrmModule.forFeature([Document]),
    // Last, so that the worker starts after, and stops before, what its handlers use.
    AwaModule.forRoot({
      dataSource: 'default',
      migrate: 'run',
      queues: { documents: { maxWorkers: 16 } },
      worker: {
        // Jobs of a killed process come back this fast in the demonstration only: a stale heartbeat should
        // mean "dead", and not "paused for a moment".
        heartbeatIntervalMs: 500,
        heartbeatStaleMs: 1_500,
        shutdownTimeoutMs: 10_000,
      },
    }),
  ],
  providers: [
    { provide: QuickstartOptions, useFactory: () => new QuickstartOptions(process.argv.slice(2)) },
    IndexDocumentHandler,
    DocumentRegistrar,
    Progress,
    IndexingState,
    Summary,
    Quickstart,
  ],
})
export class AppModule {}
