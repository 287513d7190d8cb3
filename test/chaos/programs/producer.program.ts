// A process that enqueues, in transactions of its own, and works on nothing. Started by the harness, compiled.
import 'reflect-metadata';
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { AwaModule, type JobDefinition, QueueService } from 'nestjs-awa';
import { Client } from 'pg';
import {
  type ChaosArgs,
  EffectJob,
  ExactJob,
  MortalJob,
  PlainJob,
  QUEUES,
  RetryingJob,
  SlowJob,
  UniqueJob,
} from '../chaos-jobs.js';
import { Recorder } from '../record.js';
import { readSettings } from './settings.js';

const { url, record, rate } = readSettings();
const recorder = new Recorder(record);

/** Jobs of a transaction. */
const BATCH = 10;
/** Nobody makes up for the time in which the database was away: that would be another load than the one before. */
const MAX_BEHIND = 2 * BATCH;
const KEYS = 2_000;

const chance = (share: number) => Math.random() < share;
const step = () => (chance(0.7) ? ('error' as const) : ('snooze' as const));
const plain = (): ChaosArgs => ({ workMs: 1 + Math.floor(Math.random() * 5), plan: [] });

/** The mix: one kind a transaction. */
const MIX: readonly {
  readonly share: number;
  readonly definition: JobDefinition<ChaosArgs, ChaosArgs>;
  readonly size: number;
  readonly args: () => ChaosArgs;
}[] = [
  {
    share: 0.1,
    definition: RetryingJob,
    size: BATCH,
    args: () => ({ ...plain(), plan: [step(), step()].slice(chance(0.5) ? 1 : 0) }),
  },
  {
    share: 0.04,
    definition: MortalJob,
    size: BATCH,
    args: () => ({ ...plain(), plan: ['error', 'error', ...(chance(0.5) ? ['error' as const] : [])] }),
  },
  {
    share: 0.06,
    definition: SlowJob,
    size: 1,
    args: () => ({ workMs: 1_000 + Math.floor(Math.random() * 2_000), plan: [] }),
  },
  { share: 0.1, definition: EffectJob, size: BATCH, args: plain },
  { share: 0.05, definition: ExactJob, size: BATCH, args: plain },
  {
    share: 0.1,
    definition: UniqueJob,
    size: BATCH,
    args: () => ({ ...plain(), key: `key ${Math.floor(Math.random() * KEYS)}` }),
  },
  { share: 1, definition: PlainJob, size: BATCH, args: plain },
];

@Module({ imports: [AwaModule.forRoot({ url, queues: QUEUES, worker: false })] })
class ProducerModule {}

const app = await NestFactory.createApplicationContext(ProducerModule, { logger: ['warn', 'error'] });
const queue = app.get(QueueService);
const state = { isStopping: false };
let client: Client | undefined;

/** The connection of the transactions, made anew when it broke. */
async function connection(): Promise<Client> {
  if (client !== undefined) return client;
  const made = new Client({
    connectionString: url,
    application_name: 'chaos producer',
    connectionTimeoutMillis: 3_000,
    query_timeout: 5_000,
  });
  const forget = () => {
    if (client === made) client = undefined;
  };
  made.on('error', forget).on('end', forget);
  await made.connect();
  client = made;
  return made;
}

/** Multiples of the golden ratio, modulo 1, are spread evenly: of each kind there is as much in one second as in the next. */
const GOLDEN = (Math.sqrt(5) - 1) / 2;
const ROLLBACK_EVERY = 20;
let turn = 0;

async function transaction(): Promise<number> {
  turn += 1;
  const dice = (turn * GOLDEN) % 1;
  let sum = 0;
  const chosen = MIX.find(({ share }) => (sum += share) > dice) ?? MIX[MIX.length - 1];
  if (chosen === undefined) return 0;
  const { definition, size, args } = chosen;
  const on = await connection();
  await on.query('BEGIN');
  const jobs = await queue.enqueueMany(definition, Array.from({ length: size }, args), { client: on });
  const made = jobs.filter(({ deduplicated }) => !deduplicated).map(({ id }) => id);
  const tx = randomUUID();
  recorder.write({ type: 'offer', tx, kind: definition.kind, jobs: made });
  const isCommitted = turn % ROLLBACK_EVERY !== 0;
  await on.query(isCommitted ? 'COMMIT' : 'ROLLBACK');
  recorder.write({ type: isCommitted ? 'commit' : 'rollback', tx });
  return size;
}

async function produce(): Promise<void> {
  let begin = performance.now();
  let offered = 0;
  while (!state.isStopping) {
    const due = ((performance.now() - begin) / 1_000) * rate - offered;
    if (due > MAX_BEHIND) {
      begin = performance.now();
      offered = 0;
    } else if (due < 1) {
      await delay(2);
      continue;
    }
    try {
      offered += await transaction();
    } catch {
      // Whatever the transaction became: it is offered or it was never committed.
      const broken = client;
      client = undefined;
      void broken?.end().catch(() => undefined);
      await delay(100);
    }
  }
}

process.on('SIGTERM', () => {
  state.isStopping = true;
});
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
process.send?.('ready');
await produce();
await client?.end().catch(() => undefined);
await app.close().catch(() => undefined);
process.exit(0);
