import { setTimeout as delay } from 'node:timers/promises';
import { Adapter } from './adapter.js';
import { computeFigures } from './figures.js';
import { Observer, type Reading, type Stores } from './observer.js';
import type { Postgres } from './postgres.js';
import { Redis } from './redis.js';
import type { Run } from './results.js';
import type { Shape } from './shapes.js';
import type { System } from './systems.js';
import { Timeline } from './timeline.js';

/** A process that installs a schema on a busy machine is not quick. */
const READY_MS = 60_000;
/** The slowest peer enqueues a million in a few minutes. */
const PRELOAD_MS = 600_000;
const DRAIN_MS = 300_000;
/** An adapter speaks each second. One that is silent for so long hangs. */
const SILENCE_MS = 15_000;
/** Samples come once a second: after this time there is one from after the measured time. */
const LAST_SAMPLE_MS = 1_300;

interface Target {
  readonly postgres: Postgres;
  readonly database: string;
  readonly stores: Stores;
  readonly env: Readonly<Record<string, string>>;
}

/** One system in one shape, in a database of its own. Never throws: a failure is a result. */
export async function runOnce(
  shape: Shape,
  system: System,
  repetition: number,
  postgres: Postgres,
): Promise<Run> {
  const database = `bench_${shape.name}_${system.name.replace(/\W/g, '_')}`;
  const adapters: Adapter[] = [];
  const startedAt = new Date().toISOString();
  let redis: Redis | undefined;
  try {
    await postgres.createDatabase(database);
    redis = system.store === 'redis' ? await Redis.start() : undefined;
    const env: Record<string, string> =
      redis === undefined ? { DATABASE_URL: postgres.urlOf(database) } : { REDIS_URL: redis.url };
    const stores = { postgres: redis === undefined ? postgres : undefined, database, redis };
    const measured = await measure(shape, system, { postgres, database, stores, env }, adapters);
    return { shape: shape.name, system: system.name, repetition, startedAt, ...measured };
  } catch (error) {
    return {
      shape: shape.name,
      system: system.name,
      repetition,
      startedAt,
      descriptor: adapters.at(-1)?.descriptor,
      series: [],
      warnings: [],
      error: error instanceof Error ? error.message : String(error),
      stderr: adapters.flatMap(({ stderrTail }) => stderrTail),
    };
  } finally {
    await Promise.all(adapters.map((adapter) => adapter.kill()));
    await redis?.stop();
    await postgres.dropDatabase(database).catch(() => {});
  }
}

async function measure(
  shape: Shape,
  system: System,
  target: Target,
  adapters: Adapter[],
): Promise<Pick<Run, 'descriptor' | 'figures' | 'series' | 'slices' | 'deadTuplesByTable' | 'warnings'>> {
  const preloaded = shape.preloadBy === 'apart' ? await preload(shape, system, target, adapters) : undefined;
  await target.postgres.checkpoint();

  const workers = Array.from({ length: shape.processes }, (_, id) =>
    start(system, target, adapters, {
      ...shape.env,
      INSTANCE_ID: String(id),
      INSTANCES: String(shape.processes),
      ...(shape.preloadBy === 'self' ? { PRELOAD: String(shape.preload) } : {}),
    }),
  );
  const readyMs = shape.preloadBy === 'self' ? PRELOAD_MS : READY_MS;
  await until(() => workers.every(({ readyAt }) => readyAt !== undefined), workers, 'ready', readyMs);

  const observer = new Observer(workers, target.stores);
  const readyAt = workers.map((worker) => worker.readyAt ?? Date.now());
  await watch(observer, workers, shape.warmUpS);
  let from = await observer.read();
  // A drain is on its way already while its first counters are read.
  if (shape.untilDrained) from = { ...from, at: Math.min(from.at, ...readyAt) };
  let release: (() => Promise<void>) | undefined;
  let pinnedAt: number | undefined;
  try {
    if (shape.cleanS > 0) {
      await watch(observer, workers, shape.cleanS);
      release = await target.postgres.holdTransaction(target.database);
      pinnedAt = Date.now();
    }
    let to = shape.untilDrained
      ? await waitUntilDrained(observer, workers)
      : await watch(observer, workers, shape.measureS).then(() => observer.read());
    await delay(LAST_SAMPLE_MS);
    if (shape.untilDrained) to = withLateCommits(to, await observer.read());

    const ends = await Promise.all(workers.map((worker) => worker.stop()));
    const warnings = ends.filter((end) => end !== undefined);
    const dead = await target.stores.postgres?.readDeadTuples(target.database);
    const timeline = new Timeline(
      workers.map(({ samples }) => samples),
      readyAt,
    );
    const own = workers[0]?.preloaded ?? preloaded;
    const figures = computeFigures({
      shape,
      timeline,
      observer,
      from,
      to,
      pinnedAt,
      preloadRate: own === undefined ? undefined : own.jobs / own.seconds,
      deadTuples: dead === undefined ? undefined : Object.values(dead).reduce((a, b) => a + b, 0),
    });
    if (figures.jobs === 0) throw new Error('no job was completed in the measured time');
    return {
      descriptor: workers[0]?.descriptor,
      figures,
      series: timeline.rates(Math.max(...readyAt), to.at).map(Math.round),
      slices: pinnedAt === undefined ? undefined : timeline.rates(from.at, to.at, shape.sliceS),
      deadTuplesByTable: dead,
      warnings,
    };
  } finally {
    await release?.();
  }
}

function start(
  system: System,
  { env: stores }: Target,
  adapters: Adapter[],
  env: Readonly<Record<string, string>>,
): Adapter {
  const adapter = new Adapter(system, { ...stores, ...env });
  adapters.push(adapter);
  return adapter;
}

/** By a process that is gone when the workers start, so that it costs them neither memory nor time. */
async function preload(
  shape: Shape,
  system: System,
  target: Target,
  adapters: Adapter[],
): Promise<Adapter['preloaded']> {
  if (shape.preload === 0) return undefined;
  const producer = start(system, target, adapters, {
    ...shape.env,
    WORKER_COUNT: '0',
    PRODUCER_MODE: 'none',
    PRELOAD: String(shape.preload),
    INSTANCE_ID: '0',
    INSTANCES: '1',
  });
  await until(() => producer.preloaded !== undefined, [producer], 'preloaded', PRELOAD_MS);
  await producer.stop();
  return producer.preloaded;
}

/** Lets the run go on for a time, and looks at it each second. */
async function watch(observer: Observer, workers: readonly Adapter[], seconds: number): Promise<void> {
  const end = performance.now() + seconds * 1_000;
  for (let left = seconds * 1_000; left > 0; left = end - performance.now()) {
    await delay(Math.min(left, 1_000));
    for (const worker of workers) worker.assertRunning();
    assertSpeaking(workers);
    await observer.look();
  }
}

/** @returns the counters of that moment, which are read at once, since a drained system goes on using some */
async function waitUntilDrained(observer: Observer, workers: readonly Adapter[]): Promise<Reading> {
  const deadline = performance.now() + DRAIN_MS;
  let lookAt = 0;
  for (;;) {
    const drainedAt = workers[0]?.drainedAt;
    if (drainedAt !== undefined) {
      await observer.look();
      return { ...(await observer.read()), at: drainedAt };
    }
    for (const worker of workers) worker.assertRunning();
    assertSpeaking(workers);
    if (performance.now() > deadline)
      throw new Error(
        `not drained after ${DRAIN_MS / 1_000} s: ${workers[0]?.samples.at(-1)?.completed} jobs are done`,
      );
    if (performance.now() > lookAt) {
      await observer.look();
      lookAt = performance.now() + 1_000;
    }
    await delay(20);
  }
}

/** Backends report their commits once a second. In a long run that cancels out, in a drain of two seconds it does not. */
function withLateCommits(reading: Reading, later: Reading): Reading {
  if (reading.postgres === undefined || later.postgres === undefined) return reading;
  return { ...reading, postgres: { ...reading.postgres, commits: later.postgres.commits } };
}

async function until(
  isDone: () => boolean,
  adapters: readonly Adapter[],
  what: string,
  timeoutMs: number,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!isDone()) {
    for (const adapter of adapters) adapter.assertRunning();
    if (performance.now() > deadline)
      throw new Error(`the adapter was not ${what} after ${timeoutMs / 1_000} s`);
    await delay(20);
  }
}

function assertSpeaking(workers: readonly Adapter[]): void {
  for (const { samples, readyAt } of workers) {
    const silentMs = Date.now() - (samples.at(-1)?.t ?? readyAt ?? Date.now());
    if (silentMs > SILENCE_MS) throw new Error(`no sample for ${(silentMs / 1_000).toFixed(0)} s: it hangs`);
  }
}
