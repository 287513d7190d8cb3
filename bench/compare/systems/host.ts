import { setTimeout as delay } from 'node:timers/promises';
import { loadSystem } from './catalogue.js';
import { readEnvironment } from './environment.js';
import { log, writeLine } from './lines.js';
import { Measurements } from './measurements.js';
import { Producer } from './producer.js';
import { Work } from './work.js';

/*
 * One process of a queue system, as contract.md has it: environment in, lines of JSON out, until SIGTERM.
 *
 *   DATABASE_URL=postgres://… PRODUCER_MODE=depth-target WORKER_COUNT=64 node build/systems/host.js graphile
 */

const SAMPLE_MS = 1_000;

/** How often an instance other than the first looks whether it may begin, in milliseconds. */
const LOOK_MS = 100;

/** A stop that takes longer is a fault of the adapter, and is said. The contract allows 10 s. */
const STOP_MS = 9_000;

const stopping = new AbortController();
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stopping.abort());
const stopped = new Promise<void>((resolve) => {
  stopping.signal.addEventListener('abort', () => resolve(), { once: true });
});

const name = process.argv[2] ?? '';
const makeSystem = await loadSystem(name);
const environment = readEnvironment();
const queues = Array.from({ length: environment.queues }, (_, index) => `bench_${index}`);
const measurements = new Measurements();
const work = new Work(environment, measurements);
const system = makeSystem({ environment, queues, work });
const producer = new Producer(system, queues, environment, measurements, work);
stopping.signal.addEventListener('abort', () => producer.stop());

writeLine({
  kind: 'descriptor',
  system: name,
  version: system.version,
  runtime: `node ${process.versions.node}`,
  settings: system.settings,
});

/** Instance 0 leaves the database as all others need it; those wait until it has. */
async function prepare(): Promise<void> {
  if (environment.instanceId > 0) {
    while (!(await system.isAnnounced()) && !stopping.signal.aborted) await delay(LOOK_MS);
    await system.connect();
    return;
  }
  await system.install();
  await system.connect();
  if (environment.preload > 0) {
    const seconds = await producer.preload();
    if (stopping.signal.aborted) return;
    writeLine({ kind: 'preloaded', jobs: environment.preload, seconds: Number(seconds.toFixed(3)) });
  }
  await system.announce();
}

function sayWhenDrained(): void {
  if (environment.mode !== 'none' || environment.preload === 0) return;
  work.onCompleted = () => {
    if (measurements.completed === environment.preload) writeLine({ kind: 'drained' });
  };
}

await prepare();
sayWhenDrained();
let sampling: NodeJS.Timeout | undefined;
let producing = Promise.resolve();
if (!stopping.signal.aborted) {
  if (environment.workers > 0) await system.startWorkers();
  writeLine({ kind: 'ready' });
  sampling = setInterval(() => writeLine(measurements.sample()), SAMPLE_MS);
  producing = producer.run();
}

await stopped;
const late = setTimeout(() => {
  log(`${name} has not stopped within ${STOP_MS} ms`);
  process.exit(1);
}, STOP_MS);
late.unref();
await producing;
await system.stop();
clearInterval(sampling);
writeLine(measurements.sample());
// Whatever connection a system has left open must not keep the process.
process.exit(0);
