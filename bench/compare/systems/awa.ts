import 'reflect-metadata';
import { readFileSync } from 'node:fs';
import { type INestApplicationContext, type LoggerService, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { Job, JobHandlerFor, QueueService } from '../../../dist/lib/index.js';
import { log } from './lines.js';
import type { Payload } from './payload.js';
import { announceInPostgres, isAnnouncedInPostgres } from './postgres-announcement.js';
import { databaseUrl, type QueueSystem, type SystemOptions, workersPerQueue } from './queue-system.js';
import { WANTED_FAILURE, type Work } from './work.js';

/** The root of the repository, from where this file is compiled to: what is measured is the library as it was built there. */
const ROOT = new URL('../../../../', import.meta.url);

type Library = typeof import('../../../dist/lib/index.js');
const awa = (await import(new URL('dist/lib/index.js', ROOT).href)) as Library;

/** A failed attempt is due again at once. */
const RETRY = { baseMs: 0 };

/** One kind for all queues: each enqueue names its queue, but a kind has one by default that must be there. */
const benchJob = (queue: string) => awa.defineJob<Payload, 'bench'>('bench', { queue: queue, retry: RETRY });

type BenchJob = ReturnType<typeof benchJob>;

function benchHandler(job: BenchJob, work: Work) {
  @awa.JobHandler(job)
  class BenchHandler implements JobHandlerFor<BenchJob> {
    async handle({ args, attempt }: Job<Payload>): Promise<void> {
      await work.handle(args, attempt === 1);
    }
  }
  return BenchHandler;
}

/** The library warns of each failed attempt, thousands of them: of those that were asked for nothing is said. */
class StderrLogger implements LoggerService {
  log(): void {}
  warn = (message: unknown, context?: unknown): void => {
    const text = String(message);
    if (!text.includes(WANTED_FAILURE)) log(`${String(context)} ${text}`);
  };
  error = this.warn;
}

@Module({})
class BenchModule {}

/** This library, in a Nest application, with its default options. */
export class AwaSystem implements QueueSystem {
  readonly version: string;
  readonly preloadBatch = 5_000;
  readonly settings: Readonly<Record<string, unknown>>;
  private readonly url: string;
  private readonly maxWorkers: number;
  private readonly job: BenchJob;
  private app: INestApplicationContext | undefined;
  private queueService: QueueService | undefined;

  constructor(private readonly options: SystemOptions) {
    const { version } = JSON.parse(readFileSync(new URL('package.json', ROOT), 'utf8')) as {
      version: string;
    };
    this.version = version;
    this.url = databaseUrl(options);
    this.maxWorkers = workersPerQueue(options);
    this.job = benchJob(options.queues[0]!);
    this.settings = {
      'queues[].maxWorkers': this.maxWorkers,
      'defineJob retry': RETRY,
      'enqueueMany at the preload': this.preloadBatch,
      other: 'defaults',
    };
  }

  async install(): Promise<void> {
    await awa.runMigrations({ url: this.url });
  }

  async announce(): Promise<void> {
    await announceInPostgres(this.url);
  }

  async isAnnounced(): Promise<boolean> {
    return isAnnouncedInPostgres(this.url);
  }

  async connect(): Promise<void> {
    const { environment, queues, work } = this.options;
    this.app = await NestFactory.createApplicationContext(
      {
        module: BenchModule,
        imports: [
          awa.AwaModule.forRoot({
            url: this.url,
            queues: Object.fromEntries(queues.map((queue) => [queue, { maxWorkers: this.maxWorkers }])),
            // The preload is to be over before anything is taken.
            worker: environment.workers > 0 ? { autoStart: false } : false,
          }),
        ],
        providers: [benchHandler(this.job, work)],
      },
      { logger: new StderrLogger() },
    );
    this.queueService = this.app.get(awa.QueueService);
  }

  async enqueue(queue: string, payloads: readonly Payload[]): Promise<void> {
    const [first] = payloads;
    if (payloads.length === 1 && first !== undefined) {
      await this.queueService!.enqueue(this.job, first, { queue });
    } else {
      await this.queueService!.enqueueMany(this.job, payloads, { queue });
    }
  }

  async startWorkers(): Promise<void> {
    await this.app!.get(awa.AwaWorker).start();
  }

  async stop(): Promise<void> {
    await this.app?.close();
  }
}
