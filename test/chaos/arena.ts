import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';
import { until } from '../support/signals.js';
import { ChaosProcess } from './chaos-process.js';
import { countClosedTwice, countUnfinished, type DatabaseFacts, readFacts } from './database-facts.js';
import type { Ground, GroundDatabase } from './ground.js';
import { History } from './history.js';
import { recorderNow } from './record.js';
import { rateBetween, recoveryMs } from './throughput.js';

/** A worker that is not heard of for so long is given up, in milliseconds. */
export const STALE_MS = 3_000;
const HEARTBEAT_MS = 1_000;

const PRODUCERS = 2;
const WARM_AFTER_SUCCESSES = 100;
const LOOK_INTERVAL_MS = 250;

export interface ArenaOptions {
  /** Where records and logs go. */
  readonly directory: string;
  /** Jobs a second, of all producers. */
  readonly rate: number;
  /** Worker processes at the beginning. */
  readonly workers: number;
  /** How long completed jobs are kept, in milliseconds; undefined for the default. */
  readonly retentionMs: number | undefined;
}

/** What a scenario acts on: a database, processes that work and enqueue, the network between, and what all of them record. */
export class Arena {
  readonly history: History;
  readonly workers: ChaosProcess[] = [];
  readonly producers: ChaosProcess[] = [];
  /** What is wrong, as far as it was seen during the run. */
  readonly problems: string[] = [];
  /** What was done, for the report. */
  readonly notes: string[] = [];
  private url: string;
  private ownerUrl: string;
  private started = 0;
  private watching: Promise<void> = Promise.resolve();
  private isOver = false;

  constructor(
    readonly ground: Ground,
    database: GroundDatabase,
    private readonly options: ArenaOptions,
  ) {
    this.history = new History(options.directory);
    this.url = database.url;
    this.ownerUrl = database.ownerUrl;
  }

  /** Starts everything. */
  async open(): Promise<void> {
    await Promise.all([
      ...Array.from({ length: this.options.workers }, () => this.startWorker()),
      ...Array.from({ length: PRODUCERS }, async () => {
        this.producers.push(await this.startProcess('producer'));
      }),
    ]);
    this.watching = this.watch();
  }

  async startWorker({ clockSkewMs = 0 }: { readonly clockSkewMs?: number } = {}): Promise<ChaosProcess> {
    const worker = await this.startProcess('worker', clockSkewMs);
    this.workers.push(worker);
    return worker;
  }

  /** Workers that have not ended. */
  get living(): readonly ChaosProcess[] {
    return this.workers.filter(({ isRunning }) => isRunning);
  }

  /** Another server has the database now: proxies lead there, and cut what they had. */
  moveTo(serverUrl: string): void {
    const { host } = new URL(serverUrl);
    this.url = Object.assign(new URL(this.url), { host }).toString();
    this.ownerUrl = Object.assign(new URL(this.ownerUrl), { host }).toString();
    for (const { proxy, isRunning } of [...this.workers, ...this.producers]) {
      if (!isRunning) continue;
      proxy.redirect(serverUrl);
      proxy.cut();
    }
  }

  /** The application's connection string, without a proxy. */
  get directUrl(): string {
    return this.url;
  }

  /** Work on a superuser's connection of its own: one that was kept might be gone by now. */
  async admin<T>(work: (client: Client) => Promise<T>): Promise<T> {
    const client = new Client({
      connectionString: this.ownerUrl,
      application_name: 'chaos harness',
      connectionTimeoutMillis: 5_000,
    });
    client.on('error', () => undefined);
    try {
      await client.connect();
      return await work(client);
    } finally {
      await client.end().catch(() => undefined);
    }
  }

  /** Waits until jobs succeed at a steady pace. @returns successes a second */
  async steady(forMs: number): Promise<number> {
    await until(async () => this.read() >= WARM_AFTER_SUCCESSES, { what: 'the load', timeoutMs: 60_000 });
    const from = recorderNow();
    await delay(forMs);
    this.read();
    return rateBetween(this.history.successes, from, recorderNow());
  }

  /** Waits for the rate before to be back. @returns how long it took in milliseconds; undefined: longer than the limit. */
  async recovered(before: number, faultEnd: number, limitMs: number): Promise<number | undefined> {
    for (;;) {
      this.read();
      const now = recorderNow();
      const took = recoveryMs(this.history.successes, before, faultEnd, now);
      if (took !== undefined && took <= limitMs) return took;
      if (took !== undefined || now - faultEnd > limitMs + 5_000) return undefined;
      await delay(LOOK_INTERVAL_MS);
    }
  }

  /** Waits for successes since a time. */
  async succeeded(count: number, since: number, timeoutMs = 20_000): Promise<void> {
    const enough = async () => {
      this.read();
      return this.history.successes.filter((at) => at >= since).length >= count;
    };
    await until(enough, { what: `${count} more jobs succeeding`, timeoutMs });
  }

  /** Ends the load, and waits until nothing waits or runs. */
  async quiet(timeoutMs: number): Promise<void> {
    await Promise.all(this.producers.map((producer) => producer.end()));
    const isQuiet = async () => (await this.admin(countUnfinished)) === 0;
    await until(isQuiet, { what: 'nothing waiting or running any more', timeoutMs }).finally(() =>
      this.read(),
    );
  }

  async facts(): Promise<DatabaseFacts> {
    this.read();
    return this.admin(readFacts);
  }

  /** Ends what is still there; problems on the way are findings. */
  async close(): Promise<void> {
    this.isOver = true;
    await this.watching;
    await Promise.all(
      this.living.map((worker) =>
        worker
          .end()
          .catch((error: unknown) =>
            this.problems.push(error instanceof Error ? error.message : String(error)),
          ),
      ),
    );
    await Promise.all(
      [...this.workers, ...this.producers].map(async (each) => each.isRunning && each.kill()),
    );
    this.history.close();
  }

  private read(): number {
    this.history.read();
    return this.history.successes.length;
  }

  /** The claim ring forgets within seconds, so it is looked at all the time. */
  private async watch(): Promise<void> {
    while (!this.isOver) {
      // The database may be away just now.
      const twice = await this.admin(countClosedTwice).catch(() => 0);
      if (twice > 0) this.problems.push(`${twice} attempts with more than one closure`);
      await delay(1_000);
    }
  }

  private startProcess(program: 'worker' | 'producer', clockSkewMs = 0): Promise<ChaosProcess> {
    this.started += 1;
    return ChaosProcess.start(program, `${program}-${this.started}`, this.options.directory, this.url, {
      rate: this.options.rate / PRODUCERS,
      heartbeatIntervalMs: HEARTBEAT_MS,
      heartbeatStaleMs: STALE_MS,
      retentionMs: program === 'worker' ? this.options.retentionMs : undefined,
      clockSkewMs,
    });
  }
}
