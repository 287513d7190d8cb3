/**
 * An application as main.ts starts one: `application.program.js <mode> <url>`.
 *
 * Enqueues a job, waits until its handler ran, closes, and says at its end which timers were left after that and for how
 * long the event loop went on. It never calls process.exit().
 */
import { type DynamicModule, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { TypeOrmModule } from '@nestjs/typeorm';
import { AwaModule, defineJob, JobHandler, QueueService } from '../../lib/index.js';

const [mode = '', url = ''] = process.argv.slice(2);

const Work = defineJob<{ delayed: boolean }>('work');

let finish!: () => void;
const ran = new Promise<void>((resolve) => {
  finish = resolve;
});

@JobHandler(Work)
class WorkHandler {
  handle(): void {
    finish();
  }
}

@Module({})
class AppModule {}

const MODES: Record<string, () => DynamicModule> = {
  url: () => ({ module: AppModule, imports: [AwaModule.forRoot({ url })], providers: [WorkHandler] }),
  dataSource: () => ({
    module: AppModule,
    imports: [TypeOrmModule.forRoot({ type: 'postgres', url }), AwaModule.forRoot()],
    providers: [WorkHandler],
  }),
  producer: () => ({ module: AppModule, imports: [AwaModule.forRoot({ url, worker: false })] }),
  broken: () => ({ module: AppModule, imports: [AwaModule.forRoot({ url, jobs: [Work] })] }),
};

async function main(root: DynamicModule): Promise<void> {
  const app = await NestFactory.createApplicationContext(root, { logger: false, abortOnError: false });
  // Retries and schedules have been at work as well.
  await app.get(QueueService).enqueue(Work, { delayed: true }, { delay: 10 });
  if (mode !== 'producer') await ran;
  await app.close();
}

main(MODES[mode]?.() ?? { module: AppModule })
  .then(
    () => 'closed',
    (error: unknown) => (error instanceof Error ? error.name : 'unknown'),
  )
  .then((outcome) => {
    const timers = process.getActiveResourcesInfo().filter((name) => name === 'Timeout');
    const doneAt = performance.now();
    process.once('exit', () => {
      const lingeredMs = performance.now() - doneAt;
      process.stdout.write(JSON.stringify({ outcome, timers, lingeredMs }));
    });
  })
  .catch(() => {
    process.exitCode = 1;
  });
