import 'reflect-metadata';
import { type LoggerService, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { AwaModule, QueueService, runMigrations } from 'nestjs-awa';
import { VERSION } from '../../lib/version.js';
import { CURRENT_SCHEMA_VERSION } from '../../migrations/schema-versions.js';
import adapter from './adapter.json' with { type: 'json' };
import { benchHandler } from './bench.job.js';
import { Depth } from './depth.js';
import { readEnvironment } from './environment.js';
import { Measurements } from './measurements.js';
import { Producer } from './producer.js';
import { QUEUE } from './queue-name.js';
import { Reporter, writeLine } from './reporter.js';

/*
 * An adapter for the public benchmark of Postgres job queues: environment in, a line of JSON for each metric out, until SIGTERM.
 * Public API and default options only.
 */

/** Handlers get so long at the end, in milliseconds: the harness gives the whole process 5 s. */
const SHUTDOWN_MS = 2_000;

class StderrLogger implements LoggerService {
  log(message: string, context?: string): void {
    process.stderr.write(`${context ?? ''} ${message}\n`);
  }
  warn = (message: string, context?: string): void => this.log(message, context);
  error = (message: string, context?: string): void => this.log(message, context);
}

@Module({})
class BenchModule {}

const environment = readEnvironment();
const { databaseUrl, sampleEveryS, workers, workMs, produces } = environment;

await runMigrations({ url: databaseUrl });
const { event_indexes: _, ...descriptor } = adapter;
writeLine({
  kind: 'descriptor',
  ...descriptor,
  version: VERSION,
  schema_version: CURRENT_SCHEMA_VERSION,
  started_at: new Date().toISOString(),
});

const measurements = new Measurements(sampleEveryS);
const depth = new Depth();
const app = await NestFactory.createApplicationContext(
  {
    module: BenchModule,
    imports: [
      AwaModule.forRoot({
        url: databaseUrl,
        queues: { [QUEUE]: { maxWorkers: workers } },
        worker: { shutdownTimeoutMs: SHUTDOWN_MS },
      }),
    ],
    providers: [benchHandler(workMs, measurements, depth)],
  },
  { logger: new StderrLogger() },
);
const queue = app.get(QueueService);
const reporter = new Reporter(queue, environment, measurements);
reporter.start();

const producer = new Producer(queue, environment, depth, measurements);
const producing = produces ? depth.start(queue).then(async () => producer.run()) : Promise.resolve();

const signalled = new Promise<void>((resolve) => {
  process.once('SIGTERM', resolve);
  process.once('SIGINT', resolve);
});
await signalled;
producer.stop();
await producing;
await Promise.all([depth.stop(), reporter.stop()]);
await app.close();
