// A worker process. Started by the harness, compiled.
import { clockSkewMs } from './skew-clock.js';
import 'reflect-metadata';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { AwaModule } from 'nestjs-awa';
import { QUEUES } from '../chaos-jobs.js';
import { HANDLERS } from './handlers.js';
import { readSettings } from './settings.js';

const { url, heartbeatIntervalMs, heartbeatStaleMs, retentionMs } = readSettings();

@Module({
  imports: [
    AwaModule.forRoot({
      url,
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
