import 'reflect-metadata';
import { setTimeout as delay } from 'node:timers/promises';
import { type INestApplicationContext, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { AwaModule, defineJob, JobHandler, runMigrations } from 'nestjs-awa';

export interface BenchArgs {
  readonly n: number;
  readonly pad: string;
}

/** As JSON 256 bytes or a few less, as in the comparison. */
export const PAD = 'x'.repeat(238);

export const BenchJob = defineJob<BenchArgs, 'bench'>('bench');

@JobHandler(BenchJob)
class BenchHandler {
  async handle(): Promise<void> {
    await delay(1);
  }
}

@Module({})
class BenchModule {}

/** The library in a Nest application with its default options, on a database that has its schema then. */
export async function openApplication(url: string, hasWorker: boolean): Promise<INestApplicationContext> {
  await runMigrations({ url });
  const awa = AwaModule.forRoot({
    url,
    queues: { default: { maxWorkers: 64 } },
    ...(hasWorker ? {} : { worker: false as const }),
  });
  return NestFactory.createApplicationContext(
    { module: BenchModule, imports: [awa], providers: [BenchHandler] },
    { logger: ['error', 'warn'] },
  );
}
