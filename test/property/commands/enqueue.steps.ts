import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import { defineJob, type EnqueuedJob, type EnqueueOptions, UNIQUE_STATES } from 'nestjs-awa';
import type { Client } from 'pg';
import { shardOf } from '../reference/shard.js';
import { enqueue, type EnqueueSpec, pendingIn, keyOf, place } from '../reference/enqueue.js';
import { compareIds, laneOf } from '../reference/job.js';
import { HOUR_MS, QUEUES, queueNamed } from '../reference/queues.js';
import type { Reference } from '../reference/reference.js';
import type { World } from '../world.js';
import type { CallPlan } from './call.js';
import { openTransaction } from './transaction.steps.js';

export const Probe = defineJob<{ k: number; n: number }>('probe');

/** Every key is one of a few, so that they meet. */
export const anyK = fc.nat({ max: 3 });

/** Mostly the same few lanes, for the same reason. */
export const anyQueue = fc.constantFrom('plain', 'plain', 'held', 'held', ...QUEUES.map(({ name }) => name));

const anySpec: fc.Arbitrary<EnqueueSpec> = fc.record({
  queue: anyQueue,
  priority: fc.constantFrom(2, 2, 2, 1, 3, 4),
  ks: fc.oneof(fc.tuple(anyK), fc.array(anyK, { minLength: 1, maxLength: 5 })),
  unique: fc.boolean(),
  after: fc.subarray(['completed', 'failed', 'cancelled'] as const),
  delayHours: fc.constantFrom(0, 0, 0, 1, 2),
  maxAttempts: fc.integer({ min: 1, max: 3 }),
  orderingKey: fc.constantFrom(undefined, 'a', 'b', 'c'),
});

/** The unique options of a spec. */
export const uniqueOf = ({ after }: Pick<EnqueueSpec, 'after'>) => ({
  args: ['k'],
  states: [...UNIQUE_STATES, ...after],
});

/** By itself, or in a transaction when one is open. */
const callFor = (spec: EnqueueSpec, within: number | undefined, bySql: boolean): CallPlan => ({
  name: 'enqueue',
  args: { ...spec, within, bySql },
  plan: (ref) => {
    const open = openTransaction(ref, within);
    const pending = new Set(
      spec.unique ? spec.ks.map((k) => pendingIn(ref, keyOf(k), open?.transaction)) : [],
    );
    pending.delete(undefined);
    if (pending.size > 1) return undefined;
    const first = ref.jobs.length;
    const queued = { queue: spec.queue, priority: spec.priority };
    return {
      waitsFor: [...pending][0],
      // Or another shard of it: that is known afterwards.
      fills: open !== undefined || spec.delayHours > 0 ? [] : [laneOf({ ...queued, shard: 0 })],
      send: async (world) => {
        const client = open === undefined ? undefined : world.clients[open.slot]!;
        const list = spec.ks.map((k, index) => ({ k, n: first + index }));
        const answers =
          bySql && list.length === 1
            ? [await insertJob(world, spec, client, list[0]!)]
            : await world.queue.enqueueMany(Probe, list, optionsOf(spec, client));
        const ids = answers.filter(({ deduplicated }) => !deduplicated).map(({ id }) => id);
        assert.deepEqual(ids, [...ids].sort(compareIds), 'ids grow');
        const shard = await shardOfNew(world, client, spec, ids);
        // One that had only duplicates has no id yet: when it gets one is part of the order.
        if (client !== undefined) await client.query('SELECT pg_current_xact_id()');
        return (now) => judgeEnqueue(now, spec, answers, first, shard, open?.slot);
      },
    };
  },
});

function judgeEnqueue(
  ref: Reference,
  spec: EnqueueSpec,
  answers: readonly EnqueuedJob[],
  first: number,
  shard: number,
  slot: number | undefined,
): void {
  const expected = enqueue(ref, spec, first);
  for (const [index, { job, deduplicated }] of expected.entries()) {
    if (!deduplicated && job.id === '') job.id = answers[index]!.id;
    assert.deepEqual(answers[index], { id: job.id, deduplicated });
  }
  const own = expected.filter(({ deduplicated }) => !deduplicated).map(({ job }) => job);
  for (const job of own) job.shard = shard;
  place(ref, own, spec.delayHours, slot === undefined ? undefined : ref.transactions[slot]);
}

const optionsOf = (spec: EnqueueSpec, client: Client | undefined): EnqueueOptions => ({
  queue: spec.queue,
  priority: spec.priority,
  maxAttempts: spec.maxAttempts,
  ...(spec.delayHours > 0 ? { delay: spec.delayHours * HOUR_MS } : {}),
  ...(spec.orderingKey === undefined ? {} : { orderingKey: spec.orderingKey }),
  ...(client === undefined ? {} : { client }),
  unique: spec.unique ? uniqueOf(spec) : false,
});

/** The same from SQL. */
async function insertJob(
  { database }: World,
  { queue, priority, maxAttempts, delayHours, orderingKey, ...spec }: EnqueueSpec,
  client: Client | undefined,
  args: { readonly k: number; readonly n: number },
): Promise<EnqueuedJob> {
  const sql = `SELECT job_id::text AS id, deduplicated FROM awa.insert_job('probe', $1::json, $2, $3, $4,
    p_delay => $5::int * interval '1 hour', p_ordering_key => $6, p_unique => $7::json)`;
  const parameters = [
    JSON.stringify(args),
    queue,
    priority,
    maxAttempts,
    delayHours,
    orderingKey ?? null,
    spec.unique ? JSON.stringify(uniqueOf(spec)) : null,
  ];
  const { rows } = await (client === undefined
    ? database.query<EnqueuedJob & { id: string }>(sql, parameters)
    : client.query<EnqueuedJob & { id: string }>(sql, parameters));
  return rows[0]!;
}

export const enqueueCall: fc.Arbitrary<CallPlan> = fc
  .tuple(anySpec, fc.option(fc.nat(), { nil: undefined }), fc.boolean())
  .map(([spec, within, bySql]) => callFor(spec, within, bySql));

/** One job, in a transaction of its own: with several, somebody else's commit may fall between two keys. */
export const enqueueOneCall: fc.Arbitrary<CallPlan> = fc
  .tuple(anySpec, anyK, fc.boolean())
  .map(([spec, k, bySql]) => callFor({ ...spec, ks: [k] }, undefined, bySql));

/** Where the engine has put the jobs of one enqueue: by their ordering key, or all of them anywhere. */
async function shardOfNew(
  { database }: World,
  client: Client | undefined,
  { queue, orderingKey }: EnqueueSpec,
  ids: readonly string[],
): Promise<number> {
  const { shards } = queueNamed(queue);
  if (shards === 1 || ids.length === 0) return 0;
  const sql = `SELECT DISTINCT l.shard FROM (
      SELECT job_id, lane_id FROM awa.ready_entries UNION ALL SELECT job_id, lane_id FROM awa.deferred_jobs
    ) j JOIN awa.queue_lanes l USING (lane_id) WHERE j.job_id = ANY ($1::bigint[])`;
  const { rows } = await (client === undefined
    ? database.query<{ shard: number }>(sql, [ids])
    : client.query<{ shard: number }>(sql, [ids]));
  assert.equal(rows.length, 1, 'the jobs of one enqueue are in one shard');
  const { shard } = rows[0]!;
  if (orderingKey !== undefined) assert.equal(shard, shardOf(orderingKey, shards));
  return shard;
}
