// A worker process of its own, for tests that kill or stop it. Run by worker-process.ts, compiled.
import { Logger, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { TypeOrmModule } from '@nestjs/typeorm';
import {
  AwaModule,
  defineJob,
  type Job,
  type JobContext,
  JobHandler,
  type TransactionalJobContext,
} from 'nestjs-awa';

/** Waits to be told to finish. */
export const Held = defineJob<number>('held', { queue: 'work' });

/** Kills its process. */
export const Poison = defineJob<number>('poison', { queue: 'work', retry: { baseMs: 0 } });

/** Blocks its process for so many milliseconds. */
export const Blocking = defineJob<number>('blocking', { queue: 'work' });

/** Saves a checkpoint, and kills its process. */
export const Fatal = defineJob<number>('fatal', { queue: 'work' });

/** Writes in the transaction of its attempt, and kills its process when it has written, or right before COMMIT. */
export const Exact = defineJob<'written' | 'committing'>('exact', { queue: 'work' });

/** What this process tells its parent. */
export type WorkerMessage =
  | { readonly type: 'ready' }
  | { readonly type: 'started'; readonly jobId: string; readonly aborted: boolean }
  | { readonly type: 'aborted'; readonly jobId: string }
  | { readonly type: 'log'; readonly line: string };

/** What its parent tells this process: to end all that is held; to close the application, and no more than that. */
export type WorkerOrder = 'finish' | 'close';

function tell(message: WorkerMessage): void {
  process.send?.(message);
}

@JobHandler(Held)
export class HeldHandler {
  async handle({ id }: Job<number>, { signal }: { readonly signal: AbortSignal }): Promise<void> {
    signal.addEventListener('abort', () => tell({ type: 'aborted', jobId: id }));
    const finish = new Promise<void>((resolve) => {
      process.on('message', (order: WorkerOrder) => {
        if (order === 'finish') resolve();
      });
    });
    tell({ type: 'started', jobId: id, aborted: signal.aborted });
    await finish;
  }
}

@JobHandler(Poison)
export class PoisonHandler {
  handle(): void {
    process.kill(process.pid, 'SIGKILL');
  }
}

@JobHandler(Blocking)
export class BlockingHandler {
  async handle({ id, args }: Job<number>): Promise<void> {
    await new Promise((resolve) => {
      process.send?.({ type: 'started', jobId: id, aborted: false } satisfies WorkerMessage, resolve);
    });
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, args);
  }
}

@JobHandler(Fatal)
export class FatalHandler {
  async handle(_: Job<number>, { setProgress, checkpoint }: JobContext): Promise<void> {
    setProgress(40, 'four of ten');
    await checkpoint({ next: 5 });
    process.kill(process.pid, 'SIGKILL');
  }
}

@JobHandler(Exact, { transactional: true })
export class ExactHandler {
  async handle({ id, runLease, args }: Job<string>, { manager }: TransactionalJobContext): Promise<void> {
    await manager.query('INSERT INTO public.effects (job_id, run_lease) VALUES ($1, $2)', [id, runLease]);
    const die = () => void process.kill(process.pid, 'SIGKILL');
    if (args === 'written') die();
    else manager.dataSource.subscribers.push({ beforeTransactionCommit: die });
  }
}

@Module({
  imports: [
    TypeOrmModule.forRoot({
      type: 'postgres',
      url: process.env['WORKER_DATABASE_URL'] ?? '',
      retryAttempts: 0,
    }),
    AwaModule.forRoot({
      queues: { work: {} },
      worker: { heartbeatIntervalMs: 300, heartbeatStaleMs: 1_200, maxBlockedLoopMs: 4_000 },
    }),
  ],
  providers: [HeldHandler, PoisonHandler, BlockingHandler, FatalHandler, ExactHandler],
})
export class AppModule {}

async function main(): Promise<void> {
  const line = (message: unknown) => tell({ type: 'log', line: String(message) });
  const logger = { log: line, warn: line, error: line, fatal: line };
  const app = await NestFactory.createApplicationContext(AppModule, { logger, abortOnError: false });
  app.enableShutdownHooks();
  // Without its parent it has no purpose.
  const orphaned = () => process.kill(process.pid, 'SIGKILL');
  process.on('disconnect', orphaned);
  process.on('message', (order: WorkerOrder) => {
    if (order !== 'close') return;
    void app.close().then(() => process.off('disconnect', orphaned).disconnect());
  });
  tell({ type: 'ready' });
}

if (process.env['WORKER_DATABASE_URL'] !== undefined) {
  main().catch((error: unknown) => {
    new Logger('worker').error(error);
    process.exitCode = 1;
    process.disconnect();
  });
}
