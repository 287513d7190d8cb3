import { Pool } from 'pg';
import { QueueService } from 'nestjs-awa';
import { BenchJob, openApplication, PAD } from './application.js';
import { median } from '../storage/bench-session.js';
import type { Table } from './table.js';

const SECONDS = 2;
const ROUNDS = 3;
const BULK_SIZES = [128, 1_000, 5_000];
const CALLERS = [1, 16];

/** Of the library's own pool: the bare INSERT has as many connections, and then one for each caller. */
const POOL_SIZE = 2;

/**
 * What one process enqueues: in bulk, and one by one, by callers that each wait for their call. The bare INSERT writes the same payload, into a
 * table with nothing but a key; the two take turns, so that a machine that grows slower does so for both.
 */
export async function enqueueCost(url: string): Promise<Table> {
  const app = await openApplication(url, false);
  const queue = app.get(QueueService);
  const pool = new Pool({ connectionString: url, max: POOL_SIZE });
  const widePool = new Pool({ connectionString: url, max: Math.max(...CALLERS) });
  await pool.query(
    'CREATE TABLE bare (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, args json NOT NULL)',
  );
  let n = 0;
  const args = () => ({ n: (n += 1), pad: PAD });
  const insertBy = (connections: Pool) => async () => {
    const values = [JSON.stringify(args())];
    await connections.query({ name: 'bare', text: 'INSERT INTO bare (args) VALUES ($1)', values });
  };
  const enqueue = async () => {
    await queue.enqueue(BenchJob, args());
  };

  const rows: (readonly [string, ...number[]])[] = [];
  for (const size of BULK_SIZES) {
    const call = async () => {
      await queue.enqueueMany(BenchJob, Array.from({ length: size }, args));
    };
    const [rate] = await medianRates([call], 1);
    rows.push([`enqueueMany of ${size}`, rate! * size, ...Array.from({ length: 4 }, () => Number.NaN)]);
  }
  for (const callers of CALLERS) {
    const calls = [enqueue, insertBy(pool), insertBy(widePool)];
    const [own, bare, wide] = await medianRates(calls, callers);
    rows.push([`enqueue, ${callers} at a time`, own!, bare!, own! / bare!, wide!, own! / wide!]);
  }
  await pool.end();
  await widePool.end();
  await app.close();
  return {
    name: 'enqueue',
    columns: [
      '',
      'jobs/s',
      `bare INSERTs/s on ${POOL_SIZE} connections`,
      'ratio',
      'on one a caller',
      'ratio',
    ],
    rows,
  };
}

/** @returns calls a second of each, the median of rounds in which all have their turn; a first round is left out */
async function medianRates(calls: readonly (() => Promise<void>)[], callers: number): Promise<number[]> {
  const rates = calls.map((): number[] => []);
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [index, call] of calls.entries()) {
      const rate = await rateOf(call, callers);
      if (round > 0) rates[index]!.push(rate);
    }
  }
  return rates.map(median);
}

async function rateOf(call: () => Promise<void>, callers: number): Promise<number> {
  const startedAt = performance.now();
  let done = 0;
  const caller = async () => {
    for (; performance.now() - startedAt < SECONDS * 1_000; done++) await call();
  };
  await Promise.all(Array.from({ length: callers }, caller));
  return done / ((performance.now() - startedAt) / 1_000);
}
