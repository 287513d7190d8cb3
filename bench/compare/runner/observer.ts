import type { Adapter } from './adapter.js';
import type { Postgres, PostgresCounters } from './postgres.js';
import { cpuSecondsOf, rssMbOf } from './processes.js';
import type { Redis } from './redis.js';
import { median } from './statistics.js';

/** Everything that only grows, at one moment. */
export interface Reading {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly adapterCpu: number | undefined;
  readonly redisCpu: number | undefined;
  readonly postgres: PostgresCounters | undefined;
}

export interface Stores {
  /** Where the run's database is; undefined for a system that has none. */
  readonly postgres: Postgres | undefined;
  readonly database: string;
  readonly redis: Redis | undefined;
}

/** Looks at a run from outside: what its processes and its database use. */
export class Observer {
  private readonly connections: number[] = [];
  private rssPeak: number | undefined;

  constructor(
    private readonly adapters: readonly Adapter[],
    private readonly stores: Stores,
  ) {}

  async read(): Promise<Reading> {
    const { postgres, database, redis } = this.stores;
    const at = Date.now();
    const adapterCpu = cpuSecondsOf(this.pids);
    const redisCpu = redis?.cpuSeconds();
    return { at, adapterCpu, redisCpu, postgres: await postgres?.readCounters(database) };
  }

  /** Once a second, by whoever waits for the run's end. */
  async look(): Promise<void> {
    const rss = rssMbOf(this.pids);
    if (rss !== undefined) this.rssPeak = Math.max(rss, this.rssPeak ?? 0);
    const { postgres, database } = this.stores;
    if (postgres !== undefined) this.connections.push(await postgres.countConnections(database));
  }

  get rssPeakMb(): number | undefined {
    return this.rssPeak;
  }

  get connectionsMedian(): number | undefined {
    return median(this.connections);
  }

  private get pids(): readonly number[] {
    return this.adapters.map(({ pid }) => pid);
  }
}
