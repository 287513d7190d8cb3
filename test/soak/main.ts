import 'reflect-metadata';
import { parseArgs } from 'node:util';
import { type DynamicModule, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { AwaModule, DeadLetterService, QueueService } from 'nestjs-awa';
import { Client } from 'pg';
import { startPostgres } from '../postgres/server.js';
import { readDatabaseState } from './database-state.js';
import { History } from './history.js';
import { Operator } from './operator.js';
import { Producer } from './producer.js';
import { MortalHandler, recordIn, SoakHandler, UniqueHandler } from './soak.job.js';

/** Rings that turn every second or two, so that a short run sees many generations. */
const RETENTION_MS = 6_000;
/** A segment that is sealed for so long is stuck, whatever transaction is held open. */
const STUCK_MS = RETENTION_MS + 15_000;
const PRODUCERS = 2;

const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '1' }, rate: { type: 'string', default: '2200' } },
});
const minutes = Number(values.minutes);
const rate = Number(values.rate);

@Module({})
class SoakModule {
  static with(url: string): DynamicModule {
    return {
      module: SoakModule,
      imports: [
        AwaModule.forRoot({
          url,
          migrate: 'run',
          queues: { soak: { maxWorkers: 64 }, mortal: { maxWorkers: 16, deadLetter: true } },
          retention: { completed: RETENTION_MS, failed: RETENTION_MS },
        }),
      ],
      providers: [SoakHandler, MortalHandler, UniqueHandler],
    };
  }
}

/** A transaction with a snapshot and an id, open for the middle third of the run. */
async function pinHorizon(url: string, startMs: number, endMs: number): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  await new Promise((resolve) => setTimeout(resolve, startMs));
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
  await client.query('SELECT pg_current_xact_id(), (SELECT count(*) FROM pg_class)');
  console.log('  a transaction is held open from now');
  await new Promise((resolve) => setTimeout(resolve, endMs - startMs));
  await client.query('ROLLBACK');
  console.log('  and no longer');
  await client.end();
}

async function until(check: () => Promise<boolean>, what: string, timeoutMs = 120_000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await check())) {
    if (performance.now() > deadline) throw new Error(`${what} did not happen within ${timeoutMs / 1_000} s`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

const server = await startPostgres({ temporary: true });
const problems: string[] = [];
try {
  const history = new History();
  recordIn(history);
  const app = await NestFactory.createApplicationContext(SoakModule.with(server.url), {
    // Jobs fail as planned, by the thousand.
    logger: ['fatal'],
  });
  const queue = app.get(QueueService);
  const admin = new Client({ connectionString: server.url });
  await admin.connect();

  const runMs = minutes * 60_000;
  const pin = pinHorizon(server.url, runMs / 3, (runMs * 2) / 3);
  const producers = Array.from(
    { length: PRODUCERS },
    () => new Producer(server.url, queue, history, rate / PRODUCERS),
  );
  const producing = Promise.all(producers.map((producer) => producer.run()));
  const operator = new Operator(app.get(DeadLetterService), history);
  const operating = operator.run();
  let largest = 0;
  const begin = performance.now();
  for (let tick = 1; performance.now() - begin < runMs; tick++) {
    await new Promise((resolve) => setTimeout(resolve, Math.min(10_000, runMs / 6)));
    const { bytes, segments, prunes, deadRows, oldestSealedMs, uniqueKeys } = await readDatabaseState(admin);
    largest = Math.max(largest, bytes);
    if (oldestSealedMs > STUCK_MS)
      problems.push(`a segment was still there ${(oldestSealedMs / 1_000).toFixed(0)} s after it was sealed`);
    problems.push(...(await differences(queue, history)));
    const seconds = (performance.now() - begin) / 1_000;
    console.log(
      `  ${seconds.toFixed(0)} s: ${history.committedCount} committed, ${history.endedCount} ended, ` +
        `${(bytes / 2 ** 20).toFixed(0)} MiB in ${segments} segments, ${prunes} reclaimed, ${deadRows} dead rows, ${uniqueKeys} keys`,
    );
  }
  for (const producer of producers) producer.stop();
  await producing;
  const rateReached = history.endedCount / ((performance.now() - begin) / 1_000);
  await pin;
  await until(async () => history.endedCount >= history.committedCount, 'every committed job having ended');
  operator.stop();
  await operating;
  const counts = await whenIdle(queue);

  // With nothing to do, the rings turn until only what is being written is left.
  await until(async () => (await readDatabaseState(admin)).segments <= 6, 'the rings having been reclaimed');
  await until(
    async () => (await readDatabaseState(admin)).uniqueKeys === 0,
    'every unique key being free',
    30_000,
  );
  const state = await readDatabaseState(admin);
  problems.push(...history.check());
  if (state.changedRows > 0)
    problems.push(`${state.changedRows} rows of append-only tables were updated or deleted`);
  if (state.deadRows > 0) problems.push(`${state.deadRows} dead rows in append-only tables`);
  // One transaction in twenty is rolled back.
  if (rateReached < rate * 0.95 * 0.92) problems.push(`${rateReached.toFixed(0)} jobs/s instead of ${rate}`);
  const latencies = history.latenciesMs.toSorted((a, b) => a - b);
  const percentile = (share: number) => latencies[Math.floor(latencies.length * share)] ?? Number.NaN;
  console.log(
    `soak of ${minutes} min: ${history.committedCount} jobs (and ${history.deduplicated} duplicates), ${history.buried} dead letters, ${rateReached.toFixed(0)} jobs/s, pickup p50 ${percentile(0.5)} ms ` +
      `p99 ${percentile(0.99)} ms, ${state.rotations} rotations, ${state.prunes} reclaims, at most ${(largest / 2 ** 20).toFixed(0)} MiB, ` +
      `${(state.bytes / 2 ** 20).toFixed(1)} MiB at the end, ${state.deadRows} dead rows; ${JSON.stringify(counts)}`,
  );
  await admin.end();
  await app.close();
} finally {
  await server.stop();
}

async function whenIdle(queue: QueueService): Promise<unknown> {
  const isIdle = async (name: string) => {
    const { available, running, retryable, scheduled } = await queue.countJobs(name);
    return [available, running, retryable, scheduled].every(({ count }) => count === 0);
  };
  await until(
    async () => (await isIdle('soak')) && (await isIdle('mortal')),
    'nothing waiting or running any more',
  );
  return queue.countJobs('soak');
}

/** Jobs that ended a moment ago, of which the database says something else than their handlers. */
async function differences(queue: QueueService, history: History): Promise<string[]> {
  const found: string[] = [];
  for (const { id, ending } of history.endedLately(20)) {
    const state = (await queue.getJob(id))?.state;
    if (state !== (ending === 'purged' ? undefined : ending))
      found.push(`job ${id} is ${String(state)}, and its handler said ${ending}`);
  }
  return found;
}

for (const problem of problems) console.error(`PROBLEM: ${problem}`);
console.log(
  problems.length === 0
    ? 'nothing lost, nothing run twice, nothing left behind'
    : `${problems.length} problem(s)`,
);
process.exitCode = problems.length === 0 ? 0 : 1;
