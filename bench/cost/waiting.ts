import { completeAttempts } from '../../lib/storage/operations/close-attempts.js';
import { BenchSession, median, SCHEMA } from '../storage/bench-session.js';
import type { Table } from './table.js';

const LEVELS = [1_000, 100_000, 10_000_000];
const BATCH = 500;
const ROUNDS = 60;

/** Rounds of each level that do not count: plans and code are made in them. */
const WARM_UP = 20;

/** Jobs of one call of the preload, and how many sessions make such calls at a time. */
const PRELOAD_BATCH = 20_000;
const SESSIONS = 2;

/** What a job costs in one session, by how many wait: each round enqueues, claims and completes a batch, so that their number stays. */
export async function waitingCost(url: string): Promise<Table> {
  const session = await BenchSession.open(url, 'awa_bench_waiting');
  const rows: (readonly [string, ...number[]])[] = [];
  let waiting = 0;
  for (const level of LEVELS) {
    await preload(session, level - waiting);
    waiting = level;
    await session.client.query('CHECKPOINT');
    const [enqueued, claimed, completed]: [number[], number[], number[]] = [[], [], []];
    for (let round = 0; round < ROUNDS; round++) {
      enqueued.push(await timeOf(async () => session.enqueue(BATCH)));
      let jobs: Awaited<ReturnType<BenchSession['claim']>> = [];
      claimed.push(
        await timeOf(async () => {
          jobs = await session.claim(BATCH);
        }),
      );
      if (jobs.length !== BATCH) throw new Error(`claimed ${jobs.length} jobs instead of ${BATCH}`);
      completed.push(await timeOf(async () => completeAttempts(session.port, SCHEMA, jobs)));
    }
    const perJob = (ms: number[]) => (median(ms.slice(WARM_UP)) / BATCH) * 1_000;
    rows.push([level.toLocaleString('en'), perJob(enqueued), perJob(claimed), perJob(completed)]);
  }
  await session.client.end();
  return {
    name: 'waiting',
    columns: ['waiting jobs', 'enqueue µs/job', 'claim µs/job', 'completion µs/job'],
    rows,
  };
}

async function timeOf(task: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await task();
  return performance.now() - startedAt;
}

/** Through the function that every enqueue calls, with arguments that the server makes itself. */
async function preload(session: BenchSession, jobs: number): Promise<void> {
  let left = jobs;
  const fill = async () => {
    const client = await session.another();
    while (left > 0) {
      const count = Math.min(PRELOAD_BATCH, left);
      left -= count;
      await client.query(
        `SELECT count(*) FROM (SELECT array_agg($1::text) AS queues, array_agg(2) AS priorities, array_agg('bench'::text) AS kinds,
             array_agg(json_build_object('n', n, 'pad', repeat('x', 238))::text) AS args, array_agg(25) AS attempts,
             array_agg(NULL::timestamptz) AS run_ats, array_agg(NULL::float8) AS delays, array_agg(NULL::text) AS nothing
           FROM generate_series(1, $2::int) n) i,
         LATERAL awa.enqueue_jobs(queues, priorities, kinds, args, attempts, run_ats, delays, nothing, nothing)`,
        [session.queue, count],
      );
    }
    await client.end();
  };
  await Promise.all(Array.from({ length: SESSIONS }, fill));
}
