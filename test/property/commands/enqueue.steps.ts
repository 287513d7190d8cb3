import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import { defineJob, type EnqueueOptions, UNIQUE_STATES } from 'nestjs-awa';
import type { Client } from 'pg';
import { shardOf } from '../reference/shard.js';
import { enqueue, type EnqueueSpec, isPending, keyOf, place } from '../reference/enqueue.js';
import { compareIds } from '../reference/job.js';
import { HOUR_MS, QUEUES, queueNamed } from '../reference/queues.js';
import type { World } from '../world.js';
import { type Step, step } from './step.js';
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
export const enqueueStep: fc.Arbitrary<Step> = fc
  .record({ spec: anySpec, within: fc.option(fc.nat(), { nil: undefined }) })
  .map(({ spec, within }) =>
    step(
      'enqueue',
      { ...spec, within },
      {
        check: (ref) => {
          const own = openTransaction(ref, within)?.transaction;
          return !(spec.unique && spec.ks.some((k) => isPending(ref, keyOf(k), own)));
        },
        run: async (ref, world) => {
          const open = openTransaction(ref, within);
          const client = open === undefined ? undefined : world.clients[open.slot]!;
          const expected = enqueue(ref, spec);
          const own = expected.filter(({ deduplicated }) => !deduplicated).map(({ job }) => job);
          const options: EnqueueOptions = {
            queue: spec.queue,
            priority: spec.priority,
            maxAttempts: spec.maxAttempts,
            ...(spec.delayHours > 0 ? { delay: spec.delayHours * HOUR_MS } : {}),
            ...(spec.orderingKey === undefined ? {} : { orderingKey: spec.orderingKey }),
            ...(client === undefined ? {} : { client }),
            unique: spec.unique ? uniqueOf(spec) : false,
          };
          const first = ref.jobs.length;
          const answers = await world.queue.enqueueMany(
            Probe,
            spec.ks.map((k, index) => ({ k, n: first + index })),
            options,
          );
          for (const [index, { job, deduplicated }] of expected.entries()) {
            if (!deduplicated && job.id === '') job.id = answers[index]!.id;
            assert.deepEqual(answers[index], { id: job.id, deduplicated });
          }
          const ids = own.map(({ id }) => id);
          assert.deepEqual(ids, [...ids].sort(compareIds), 'ids grow');
          const shard = await shardOfNew(world, client, spec, ids);
          for (const job of own) job.shard = shard;
          place(ref, own, spec.delayHours, open?.transaction);
          // One that had only duplicates has no id yet: when it gets one is part of the order.
          if (client !== undefined) await client.query('SELECT pg_current_xact_id()');
        },
      },
    ),
  );

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
