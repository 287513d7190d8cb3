import { type Job, type JobResult, PgBoss, type WorkOptions } from 'pg-boss';
import { ConcurrencyLimit } from './concurrency-limit.js';
import { log } from './lines.js';
import { packageVersion } from './package-version.js';
import type { Payload } from './payload.js';
import { announceInPostgres, isAnnouncedInPostgres } from './postgres-announcement.js';
import { databaseUrl, type QueueSystem, type SystemOptions, workersPerQueue } from './queue-system.js';

/** Of `work()`: how many pollers a queue has in a process. While one waits for the database, another has jobs. */
const LOCAL_CONCURRENCY = 2;

/** Retries are found by polling; this is the least that it takes. 30 s by default where the queue notifies. */
const POLLING_S = 0.5;

/** `retryLimit` 2 and `retryDelay` 0 are the defaults. */
const QUEUE_OPTIONS = { notify: true, retryLimit: 2, retryDelay: 0 };

/** Handlers get so long at the end, in milliseconds. */
const STOP_MS = 5_000;

/**
 * pg-boss with LISTEN/NOTIFY, batches and bursts, as its documentation advises for queues with much traffic.
 *
 * A batch's jobs are settled together, when the last one has ended. Handlers above the number of workers wait for a place.
 */
export class PgBossSystem implements QueueSystem {
  readonly version = packageVersion('pg-boss');
  readonly preloadBatch = 1_000;
  readonly settings: Readonly<Record<string, unknown>>;
  private readonly url: string;
  private readonly boss: PgBoss;
  private readonly handlers: number;
  private readonly workOptions: WorkOptions;
  private starting: Promise<PgBoss> | undefined;

  constructor(
    private readonly options: SystemOptions,
    private readonly batchSize: number,
  ) {
    this.url = databaseUrl(options);
    const database = { useListenNotify: true };
    this.boss = new PgBoss({ connectionString: this.url, ...database });
    this.boss.on('error', (error) => log(`pg-boss: ${String(error)}`));
    this.handlers = workersPerQueue(options);
    this.workOptions = {
      batchSize,
      localConcurrency: LOCAL_CONCURRENCY,
      burstWhenBatchFull: true,
      pollingIntervalSeconds: POLLING_S,
      notifyPollingIntervalSeconds: POLLING_S,
      // Without it, one job that fails makes all of its batch fail.
      perJobResults: options.work.hasFailures,
    };
    this.settings = {
      constructor: database,
      createQueue: QUEUE_OPTIONS,
      work: this.workOptions,
      'handlers at a time, by a limit of the adapter, per queue': this.handlers,
      enqueue: 'insert (bulk), send (one)',
      'insert at the preload': this.preloadBatch,
      'first retry': `at once, but found by polling, each ${POLLING_S} s or with the next fetch of a full batch`,
    };
  }

  async install(): Promise<void> {
    await this.connect();
    for (const queue of this.options.queues) await this.boss.createQueue(queue, QUEUE_OPTIONS);
  }

  async announce(): Promise<void> {
    await announceInPostgres(this.url);
  }

  async isAnnounced(): Promise<boolean> {
    return isAnnouncedInPostgres(this.url);
  }

  async connect(): Promise<void> {
    this.starting ??= this.boss.start();
    await this.starting;
  }

  async enqueue(queue: string, payloads: readonly Payload[]): Promise<void> {
    const [first] = payloads;
    if (payloads.length === 1 && first !== undefined) await this.boss.send(queue, first);
    else {
      await this.boss.insert(
        queue,
        payloads.map((data) => ({ data })),
      );
    }
  }

  async startWorkers(): Promise<void> {
    for (const queue of this.options.queues) {
      const limit = new ConcurrencyLimit(this.handlers);
      await this.boss.work<Payload>(queue, this.workOptions, async (jobs) => this.handle(jobs, limit));
    }
  }

  async stop(): Promise<void> {
    if (this.starting !== undefined) await this.boss.stop({ graceful: true, timeout: STOP_MS });
  }

  /** @returns what becomes of each job, which counts with `perJobResults` only */
  private async handle(jobs: readonly Job<Payload>[], limit: ConcurrencyLimit): Promise<JobResult[]> {
    const { work } = this.options;
    const results = await Promise.all(
      jobs.map(async ({ id, data, retryCount }) => {
        const status = await limit.run(async () => work.attempt(data, retryCount === 0));
        return { id, status };
      }),
    );
    for (const { status } of results) work.handedOver(status);
    return results;
  }
}
