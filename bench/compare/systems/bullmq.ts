import { createPostgresBackend, type Job, type JobsOptions, Queue, runMigrations, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { Client } from 'pg';
import { log } from './lines.js';
import { packageVersion } from './package-version.js';
import type { Payload } from './payload.js';
import { announceInPostgres, isAnnouncedInPostgres } from './postgres-announcement.js';
import { databaseUrl, type QueueSystem, type SystemOptions, workersPerQueue } from './queue-system.js';

const JOB_NAME = 'bench';

/** What queues and workers of both backends have: their types differ in the type of the connection, and so do not fit each other. */
interface Closeable {
  on(event: 'error', listener: (error: Error) => void): unknown;
  waitUntilReady(): Promise<unknown>;
  close(): Promise<void>;
}

interface OpenQueue extends Closeable {
  add(name: string, payload: Payload, options: JobsOptions): Promise<unknown>;
  addBulk(jobs: { name: string; data: Payload; opts: JobsOptions }[]): Promise<unknown>;
}

type Process = (job: Pick<Job<Payload>, 'data' | 'attemptsMade'>) => Promise<void>;

/** What a backend of BullMQ is to the adapter. */
interface Backend {
  readonly settings: Readonly<Record<string, unknown>>;
  readonly job: JobsOptions;
  openQueue(queue: string): OpenQueue;
  openWorker(queue: string, process: Process, concurrency: number): Closeable;
  install(): Promise<void>;
  announce(): Promise<void>;
  isAnnounced(): Promise<boolean>;
}

/** BullMQ, on either of its backends: the classes are the same, and their options too. */
class BullMqSystem implements QueueSystem {
  readonly version = packageVersion('bullmq');
  readonly preloadBatch = 1_000;
  readonly settings: Readonly<Record<string, unknown>>;
  private readonly queues = new Map<string, OpenQueue>();
  private workers: Closeable[] = [];

  constructor(
    private readonly options: SystemOptions,
    private readonly backend: Backend,
  ) {
    this.settings = {
      ...backend.settings,
      'worker concurrency per queue': workersPerQueue(options),
      job: backend.job,
      enqueue: 'addBulk (bulk), add (one)',
      'addBulk at the preload': this.preloadBatch,
      'first retry': 'at once: without backoff the job goes back to those that wait',
    };
  }

  async install(): Promise<void> {
    await this.backend.install();
  }

  async announce(): Promise<void> {
    await this.backend.announce();
  }

  async isAnnounced(): Promise<boolean> {
    return this.backend.isAnnounced();
  }

  async connect(): Promise<void> {
    for (const name of this.options.queues) {
      const queue = this.backend.openQueue(name);
      queue.on('error', (error) => log(`bullmq queue: ${String(error)}`));
      await queue.waitUntilReady();
      this.queues.set(name, queue);
    }
  }

  async enqueue(queueName: string, payloads: readonly Payload[]): Promise<void> {
    const queue = this.queues.get(queueName)!;
    const { job } = this.backend;
    const [first] = payloads;
    if (payloads.length === 1 && first !== undefined) await queue.add(JOB_NAME, first, job);
    else await queue.addBulk(payloads.map((data) => ({ name: JOB_NAME, data, opts: job })));
  }

  async startWorkers(): Promise<void> {
    const { queues, work } = this.options;
    const concurrency = workersPerQueue(this.options);
    this.workers = queues.map((queue) =>
      this.backend.openWorker(
        queue,
        async ({ data, attemptsMade }) => work.handle(data, attemptsMade === 0),
        concurrency,
      ),
    );
    for (const worker of this.workers) worker.on('error', (error) => log(`bullmq worker: ${String(error)}`));
    await Promise.all(this.workers.map(async (worker) => worker.waitUntilReady()));
  }

  async stop(): Promise<void> {
    await Promise.all(this.workers.map(async (worker) => worker.close()));
    await Promise.all([...this.queues.values()].map(async (queue) => queue.close()));
  }
}

/** Completed jobs are removed, as otherwise all are kept for ever. */
const JOB_OPTIONS: JobsOptions = { attempts: 3, removeOnComplete: true };

/** Where instance 0 says that the others may begin. */
const ANNOUNCEMENT_KEY = 'bench:announced';

/** With its defaults: nothing is there to be tuned but the concurrency. */
export function bullmqOnRedis(options: SystemOptions): QueueSystem {
  const { redisUrl: url } = options.environment;
  if (url === undefined) throw new Error('REDIS_URL is not set');
  const connection = { url };
  const withRedis = async <Result>(ask: (redis: Redis) => Promise<Result>): Promise<Result> => {
    const redis = new Redis(url);
    try {
      return await ask(redis);
    } finally {
      redis.disconnect();
    }
  };
  return new BullMqSystem(options, {
    settings: { backend: 'Redis, with ioredis' },
    job: JOB_OPTIONS,
    openQueue: (queue) => new Queue(queue, { connection }),
    openWorker: (queue, process, concurrency) => new Worker(queue, process, { connection, concurrency }),
    install: async () => {},
    announce: async () => {
      await withRedis(async (redis) => redis.set(ANNOUNCEMENT_KEY, '1'));
    },
    isAnnounced: async () => withRedis(async (redis) => (await redis.exists(ANNOUNCEMENT_KEY)) === 1),
  });
}

/** Queue and worker have a pool each. A worker's has a connection for each handler: what it completes with takes one for a moment. */
export function bullmqOnPostgres(options: SystemOptions): QueueSystem {
  const url = databaseUrl(options);
  const concurrency = workersPerQueue(options);
  const poolMax = Math.max(10, concurrency);
  const install = async () => {
    const client = new Client({ connectionString: url });
    await client.connect();
    try {
      await runMigrations(client);
    } finally {
      await client.end();
    }
  };
  return new BullMqSystem(options, {
    settings: { backend: 'Postgres', 'connection.max of a worker': poolMax },
    job: JOB_OPTIONS,
    openQueue: (queue) => new Queue(queue, { connection: { connectionString: url } }, createPostgresBackend),
    openWorker: (queue, process, most) =>
      new Worker(
        queue,
        process,
        { connection: { connectionString: url, max: poolMax }, concurrency: most },
        createPostgresBackend,
      ),
    install,
    announce: async () => announceInPostgres(url),
    isAnnounced: async () => isAnnouncedInPostgres(url),
  });
}
