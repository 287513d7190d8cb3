// A worker process. Started by the harness, compiled.
import { clockSkewMs } from './skew-clock.js';
import 'reflect-metadata';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { TypeOrmModule } from '@nestjs/typeorm';
import { AwaModule } from 'nestjs-awa';
import { QUEUES } from '../chaos-jobs.js';
import { HANDLERS } from './handlers.js';
import { readSettings } from './settings.js';

const { url, heartbeatIntervalMs, heartbeatStaleMs, retentionMs } = readSettings();

@Module({
  imports: [
    TypeOrmModule.forRoot({ type: 'postgres', url, retryAttempts: 60, retryDelay: 500, poolSize: 10 }),
    AwaModule.forRoot({
      queues: QUEUES,
      worker: { heartbeatIntervalMs, heartbeatStaleMs },
      ...(retentionMs === undefined ? {} : { retention: { completed: retentionMs } }),
    }),
  ],
  providers: HANDLERS,
})
class WorkerModule {}

const app = await NestFactory.createApplicationContext(WorkerModule, { logger: ['log', 'warn', 'error'] });
app.enableShutdownHooks();
// Without the harness it has no purpose.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
if (clockSkewMs !== 0) console.log(`by this process's clock it is ${new Date().toISOString()}`);
process.send?.('ready');
