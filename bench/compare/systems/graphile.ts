import { Logger, makeWorkerUtils, run, type Runner, type WorkerUtils } from 'graphile-worker';
import { log } from './lines.js';
import { packageVersion } from './package-version.js';
import type { Payload } from './payload.js';
import { announceInPostgres, isAnnouncedInPostgres } from './postgres-announcement.js';
import { databaseUrl, type QueueSystem, type SystemOptions, workersPerQueue } from './queue-system.js';
import { WANTED_FAILURE } from './work.js';

/** It logs an error for each failed attempt, thousands of them: of those that were asked for nothing is said. */
const logger = new Logger(() => (level, message) => {
  if (level === 'error' && !message.includes(WANTED_FAILURE)) log(`graphile-worker: ${message}`);
});

/**
 * graphile-worker, set as the page on performance of its documentation has it for high throughput.
 *
 * Its own named queues run their jobs one after the other, so a queue of the benchmark is a task here, with a runner of its own.
 */
export class GraphileSystem implements QueueSystem {
  readonly version = packageVersion('graphile-worker');
  readonly preloadBatch = 1_000;
  readonly settings: Readonly<Record<string, unknown>>;
  private readonly url: string;
  private readonly preset;
  private utils: WorkerUtils | undefined;
  private runners: Runner[] = [];

  constructor(private readonly options: SystemOptions) {
    this.url = databaseUrl(options);
    const concurrentJobs = workersPerQueue(options);
    const worker = {
      concurrentJobs,
      // "10 or concurrentJobs + 2, whichever is larger" is the advice for those who are in doubt.
      maxPoolSize: Math.max(10, concurrentJobs + 2),
      localQueue: { size: 500 },
      completeJobBatchDelay: 0,
      failJobBatchDelay: 0,
      // Retries are found by polling, when nothing else makes it look: 2,000 by default.
      pollInterval: 500,
    };
    this.preset = { worker };
    this.settings = {
      preset: worker,
      runners: options.queues.length,
      enqueue: 'addJobs (bulk), addJob (one)',
      'addJobs at the preload': this.preloadBatch,
      'first retry': 'after exp(1) = 2.7 s, which cannot be set, and found by polling',
    };
  }

  async install(): Promise<void> {
    const utils = await makeWorkerUtils({ connectionString: this.url, logger });
    await utils.migrate();
    await utils.release();
  }

  async announce(): Promise<void> {
    await announceInPostgres(this.url);
  }

  async isAnnounced(): Promise<boolean> {
    return isAnnouncedInPostgres(this.url);
  }

  async connect(): Promise<void> {
    this.utils = await makeWorkerUtils({ connectionString: this.url, logger });
  }

  async enqueue(queue: string, payloads: readonly Payload[]): Promise<void> {
    if (payloads.length === 1) await this.utils!.addJob(queue, payloads[0]);
    else await this.utils!.addJobs(payloads.map((payload) => ({ identifier: queue, payload })));
  }

  async startWorkers(): Promise<void> {
    const { queues, work } = this.options;
    for (const queue of queues) {
      const runner = await run({
        connectionString: this.url,
        noHandleSignals: true,
        logger,
        crontab: '',
        preset: this.preset,
        taskList: {
          [queue]: async (payload, { job }) => work.handle(payload as Payload, job.attempts === 1),
        },
      });
      this.runners.push(runner);
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.runners.map(async (runner) => runner.stop()));
    await this.utils?.release();
  }
}
