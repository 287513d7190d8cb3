import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import {
  listRingSegments,
  pruneRing,
  type RingName,
  rotateRing,
} from '../../../lib/storage/operations/rings.js';
import type { SqlPort } from '../../../lib/storage/sql-port.js';
import { until } from '../../support/signals.js';
import { SCHEMA } from '../../support/storage-fixture.js';
import {
  commit,
  enqueue,
  type EnqueueSpec,
  type ExpectedEnqueue,
  place,
  rollBack,
} from '../reference/enqueue.js';
import { isNeeded, prune } from '../reference/maintenance.js';
import { HOUR_MS } from '../reference/queues.js';
import type { Reference } from '../reference/reference.js';
import type { RefTransaction } from '../reference/transaction.js';
import type { World } from '../world.js';
import type { Call, CallPlan } from './call.js';
import { Probe } from './enqueue.steps.js';
import { pick, step } from './step.js';
import { openTransactions } from './transaction.steps.js';

export const RINGS = ['ready', 'claim', 'done'] as const satisfies readonly RingName[];

const anyRing = fc.constantFrom(...RINGS);

async function segmentsOf(port: SqlPort, ring: RingName) {
  return (await listRingSegments(port, SCHEMA)).filter((segment) => segment.ring === ring);
}

export function rotate(ref: Reference, ring: RingName): Call {
  const segments = [...ref.rings.sealed(ring), ref.rings.current(ring)];
  return {
    send: async (_, port) => {
      const found = await segmentsOf(port, ring);
      const blocker = await rotateRing(port, SCHEMA, found.at(-1)!);
      return (now, isRaced) => {
        if (isRaced && blocker === 'somebody else has rotated') return;
        const generations = found.map(({ generation }) => Number(generation));
        if (!isRaced) assert.deepEqual(generations, segments);
        // A claim of nothing but cancelled jobs is a claim to the ring, and none to the reference.
        if (ring === 'claim' && blocker !== 'nothing to seal')
          now.rings.count(ring, now.rings.current(ring), 1);
        assert.equal(blocker, now.rings.rotate(ring));
      };
    },
  };
}

export const rotateCall: fc.Arbitrary<CallPlan> = anyRing.map((ring) => ({
  name: 'rotate',
  args: { ring },
  plan: (ref) => rotate(ref, ring),
}));

const IN_USE = 'its tables are in use';

export function pruneSegment(ref: Reference, ring: RingName, generation: number, keepHours: number): Call {
  const isOpen = openTransactions(ref).length > 0;
  return {
    send: async (_, port) => {
      const segment = (await segmentsOf(port, ring)).find((each) => Number(each.generation) === generation);
      const attempt = async () => {
        const blocker =
          segment === undefined ? 'pruned' : await pruneRing(port, SCHEMA, segment, keepHours * HOUR_MS);
        // When it is none of ours, it is the autovacuum, and that ends.
        return (isOpen || blocker !== IN_USE) && { blocker };
      };
      const { blocker } = await until(attempt, { what: `the tables of the ${ring} ring being free` });
      return (now, isRaced) => {
        const isNecessary = isNeeded(now, ring, generation, keepHours);
        if (blocker === undefined) {
          assert.ok(!isNecessary, 'it is needed');
          prune(now, ring, generation);
        } else if (!isNecessary) assert.ok(isRaced || isOpen, `nothing needs it, but: ${blocker}`);
      };
    },
  };
}

export const pruneCall: fc.Arbitrary<CallPlan> = fc
  .record({ ring: anyRing, number: fc.nat({ max: 6 }), keepHours: fc.constantFrom(0, 0, 1) })
  .map(({ ring, number, keepHours }) => ({
    name: 'prune',
    args: { ring, number, keepHours },
    plan: (ref) => {
      const generation = pick(ref.rings.sealed(ring), number);
      return generation === undefined ? undefined : pruneSegment(ref, ring, generation, keepHours);
    },
  }));

/** Whether nothing in the segment that is written now is needed, nobody else is writing to it, and it can be sealed. */
const isOverYet = (ref: Reference) =>
  ref.rings.blocker('ready') === undefined &&
  !isNeeded(ref, 'ready', ref.rings.current('ready'), 0) &&
  ref.transactions.includes(undefined) &&
  ref.transactions.every((transaction) => transaction === undefined || isUnused(transaction));

/** One that has no lock on a table of the rings. */
const isUnused = ({ jobs, savepoint }: RefTransaction) => jobs.length === 0 && savepoint === undefined;

/** A prune whose first proof holds, and whose second, under the lock, has to see what was committed in between. */
export const overtakenPruneStep = fc.boolean().map((commits) =>
  step(
    'prune, overtaken',
    { commits },
    {
      check: isOverYet,
      run: async (ref, world) => {
        const generation = ref.rings.current('ready');
        const client = world.clients[ref.transactions.indexOf(undefined)]!;
        const transaction: RefTransaction = { xid: undefined, jobs: [], savepoint: undefined };
        await client.query('BEGIN');
        const [{ job }] = enqueue(ref, LATE) as [ExpectedEnqueue];
        job.id = (
          await world.queue.enqueue(Probe, job.args, { queue: LATE.queue, maxAttempts: 1, client })
        ).id;
        place(ref, [job], 0, transaction);

        const segment = (await segmentsOf(world.port, 'ready')).at(-1)!;
        assert.equal(await rotateRing(world.port, SCHEMA, segment), ref.rings.rotate('ready'));
        const pruning = world.holder.query<{ blocker: string | null }>(
          "SELECT awa.prune_ring('ready', $1, p_patience => '1 minute') AS blocker",
          [generation],
        );
        await until(() => isWaiting(world), { what: 'the pruner waiting for its lock' });
        await client.query(commits ? 'COMMIT' : 'ROLLBACK');
        if (commits) commit(ref, transaction);
        else rollBack(ref, transaction);
        const { rows } = await pruning;
        assert.equal(rows[0]!.blocker !== null, commits, `blocker: ${rows[0]!.blocker}`);
        if (!commits) prune(ref, 'ready', generation);
      },
    },
  ),
);

const LATE: EnqueueSpec = {
  queue: 'plain',
  priority: 2,
  ks: [0],
  unique: false,
  after: [],
  delayHours: 0,
  maxAttempts: 1,
  orderingKey: undefined,
};

async function isWaiting({ database }: World): Promise<boolean> {
  const { rowCount } = await database.query(
    `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%prune_ring%'`,
  );
  return rowCount === 1;
}
