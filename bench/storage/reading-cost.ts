import { claimJobs } from '../../lib/storage/operations/claim-jobs.js';
import { countJobs, oldestWaiting } from '../../lib/storage/operations/count-jobs.js';
import { getJob } from '../../lib/storage/operations/get-job.js';
import { listJobs } from '../../lib/storage/operations/list-jobs.js';
import { completeAttempts, settleAttempts } from '../../lib/storage/operations/close-attempts.js';
import { promoteDeferred } from '../../lib/storage/operations/promote-deferred.js';
import type { SqlPort } from '../../lib/storage/sql-port.js';
import { type BenchSession, median, SCHEMA } from './bench-session.js';

const SAMPLES = 15;
/** Jobs of one statement that fills. */
const CHUNK = 100_000;
const PAGE = { after: undefined, limit: 50 };

type Reading = readonly [
  name: string,
  read: (on: { port: SqlPort; queue: string; instanceId: string }) => Promise<unknown>,
  prepare?: (session: BenchSession) => Promise<void>,
];

const list = (conditions: Parameters<typeof listJobs>[2], limit = 50) =>
  function read({ port }: { port: SqlPort }): Promise<unknown> {
    return listJobs(port, SCHEMA, conditions, { ...PAGE, limit });
  };

const READINGS: readonly Reading[] = [
  [
    'claim of 500',
    ({ port, queue, instanceId }) => claimJobs(port, SCHEMA, instanceId, [{ queue, limit: 500 }]),
  ],
  ['promotion of 500', ({ port }) => promoteDeferred(port, SCHEMA, 500), dueJobs],
  ['list, everything', list({})],
  ['list, everything, 1000', list({}, 1_000)],
  ['list, queue', list({ queue: 'bench' })],
  ['list, available', list({ state: 'available' })],
  ['list, available, queue, 1000', list({ state: 'available', queue: 'bench' }, 1_000)],
  ['list, running', list({ state: 'running' })],
  ['list, completed', list({ state: 'completed' })],
  ['list, failed, queue', list({ state: 'failed', queue: 'bench' })],
  ['list, scheduled, queue', list({ state: 'scheduled', queue: 'bench' })],
  ['list, kind that fits none', list({ kind: 'none' })],
  ['list, available, tag that fits none', list({ state: 'available', tag: 'none' })],
  ['list, scheduled, kind that fits none', list({ state: 'scheduled', kind: 'none' })],
  ['count, cap 10,000', ({ port, queue }) => countJobs(port, SCHEMA, queue, 10_000)],
  ['oldest waiting', ({ port, queue }) => oldestWaiting(port, SCHEMA, queue)],
  ['get, oldest job', ({ port }) => getJob(port, SCHEMA, '1')],
];

/** Do claims, promotions and readings cost the same with five million jobs waiting, and a million scheduled, as with ten thousand of each? */
export async function readingCost(session: BenchSession): Promise<void> {
  await session.enqueue(2_000);
  await completeAttempts(session.port, SCHEMA, await session.claim(500));
  await completeAttempts(session.port, SCHEMA, await session.claim(500));
  const jobs = await session.claim(500);
  await settleAttempts(
    session.port,
    SCHEMA,
    jobs.map((job) => ({ job, outcome: 'failed' as const, error: 'no', delayMs: 0 })),
  );
  await session.claim(500);

  await fill(session, 20_000, 10_000);
  const few = await measure(session);
  await fill(session, 5_000_000, 1_000_000);
  const many = await measure(session);
  console.log(
    'ms and blocks with 10,000 waiting and as many scheduled, then with 5,000,000 and 1,000,000, and the ratio of the times',
  );
  for (const [name] of READINGS) {
    const show = (cost: Cost | undefined) =>
      `${(cost?.ms ?? 0).toFixed(2).padStart(8)} ${String(cost?.blocks ?? 0).padStart(7)}`;
    const ratio = (many.get(name)?.ms ?? 0) / (few.get(name)?.ms ?? 0);
    console.log(`  ${name.padEnd(40)} ${show(few.get(name))} ${show(many.get(name))} ${ratio.toFixed(2)}`);
  }
  console.log(JSON.stringify(await countJobs(session.port, SCHEMA, session.queue, 10_000)));
}

/** Jobs that wait, and jobs that are scheduled for tomorrow. */
async function fill({ client, queue }: BenchSession, waiting: number, scheduled: number): Promise<void> {
  for (const [total, args, delayMs] of [
    [waiting, `{"pad":"${'x'.repeat(64)}"}`, 0],
    [scheduled, '{}', 86_400_000],
  ] as const) {
    for (let left = total; left > 0; left -= CHUNK) {
      await client.query(
        `SELECT count(*) FROM ${SCHEMA.ident}.enqueue_jobs(
          array_fill($1::text, ARRAY[$2::int]), array_fill(2, ARRAY[$2::int]), array_fill('bench'::text, ARRAY[$2::int]),
          array_fill($3::text, ARRAY[$2::int]), array_fill(25, ARRAY[$2::int]), array_fill(NULL::timestamptz, ARRAY[$2::int]),
          array_fill($4::float8, ARRAY[$2::int]), array_fill(NULL::text, ARRAY[$2::int]), array_fill(NULL::text, ARRAY[$2::int]))`,
        [queue, Math.min(left, CHUNK), args, delayMs],
      );
    }
  }
  await client.query('CHECKPOINT');
}

interface Cost {
  readonly ms: number;
  /** Pages of 8 KiB looked at, in the cache or not. */
  readonly blocks: number;
}

async function measure(session: BenchSession): Promise<Map<string, Cost>> {
  const costs = new Map<string, Cost>();
  for (const [name, read, prepare] of READINGS) {
    const times: number[] = [];
    for (let sample = 0; sample < SAMPLES; sample++) {
      await prepare?.(session);
      const start = performance.now();
      await read(session);
      times.push(performance.now() - start);
    }
    await prepare?.(session);
    costs.set(name, { ms: median(times), blocks: await blocksOf(session, read) });
  }
  return costs;
}

/** Jobs that are due, among those that are not. */
async function dueJobs({ client, queue }: BenchSession): Promise<void> {
  await client.query(
    `INSERT INTO ${SCHEMA.ident}.deferred_jobs (job_id, run_at, created_at, lane_id, attempt, run_lease, max_attempts, state, kind, args)
     SELECT nextval('${SCHEMA.ident}.job_ids'), now() - interval '1 s', now(), l.lane_id, 1, 1, 25, 'retryable', 'bench', '{}'
     FROM ${SCHEMA.ident}.queue_lanes l CROSS JOIN generate_series(1, 500) WHERE l.queue = $1 AND l.priority = 2 AND l.shard = 0`,
    [queue],
  );
}

/** Lets the reading explain its statement instead of running it. */
async function blocksOf(session: BenchSession, read: Reading[1]): Promise<number> {
  let blocks = 0;
  const port: SqlPort = {
    query: async ({ text }, parameters) => {
      const { rows } = await session.client.query<{ 'QUERY PLAN': [{ Plan: Record<string, number> }] }>(
        `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ${text}`,
        [...parameters],
      );
      const plan = rows[0]?.['QUERY PLAN'][0].Plan ?? {};
      blocks += (plan['Shared Hit Blocks'] ?? 0) + (plan['Shared Read Blocks'] ?? 0);
      return [];
    },
  };
  await read({ port, queue: session.queue, instanceId: session.instanceId }).catch(() => undefined);
  return blocks;
}
