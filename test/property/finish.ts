import assert from 'node:assert/strict';
import { claimFor, complete } from './commands/attempt.steps.js';
import type { Call } from './commands/call.js';
import { passTime, promoteAtMost, register } from './commands/maintenance.steps.js';
import { pruneSegment, RINGS, rotate } from './commands/ring.steps.js';
import { endTransaction, openTransactions } from './commands/transaction.steps.js';
import { compare } from './compare.js';
import { purge } from './reference/dead-letters.js';
import { QUEUES } from './reference/queues.js';
import type { Reference } from './reference/reference.js';
import type { World } from './world.js';

/** Whatever a sequence has left behind: what waits can be run to its end, and then everything goes with its segments. */
export async function finish(ref: Reference, world: World): Promise<void> {
  const does = async (call: Call) => {
    const judge = await call.send(world, world.port);
    judge(ref, false);
  };
  for (const open of openTransactions(ref)) await does(endTransaction(open, true));
  for (const name of ref.paused) await world.queues.resume(name);
  ref.paused.clear();
  const [worker] = ref.instances;
  if (worker!.state === 'gone') await register(ref, world, worker!);

  await passTime(ref, world, 24);
  await does(promoteAtMost(ref, 1_000));
  await does(
    claimFor(
      worker!.id,
      QUEUES.map(({ name: queue }) => ({ queue, limit: 500 })),
    ),
  );
  const completion = complete(ref.attempts.filter(({ open }) => open));
  if (completion !== undefined) await does(completion);
  await compare(ref, world);
  assert.deepEqual(ref.in('scheduled', 'retryable', 'available', 'running'), []);

  const dead = ref.jobs.filter((job) => purge(ref, job)).length;
  assert.deepEqual(await world.deadLetters.purgeMany({ all: true }), { matched: dead, done: dead });
  for (const ring of RINGS) {
    for (const generation of ref.rings.sealed(ring)) await does(pruneSegment(ref, ring, generation, 0));
    const current = ref.rings.current(ring);
    await does(rotate(ref, ring));
    if (ref.rings.current(ring) !== current) await does(pruneSegment(ref, ring, current, 0));
  }
  await compare(ref, world);
  assert.deepEqual(await leftovers(world), []);
}

/** Tables that still hold something. Claims do: the cursors. */
async function leftovers({ database }: World): Promise<string[]> {
  const tables = [
    'ready_entries',
    'completion_batches',
    'ready_tombstones',
    'done_entries',
    'deferred_jobs',
    'dlq_entries',
    'job_unique_claims',
    'attempt_state',
  ];
  const { rows } = await database.query<{ name: string }>(
    tables
      .map((name) => `SELECT '${name}' AS name WHERE EXISTS (SELECT FROM awa.${name})`)
      .join(' UNION ALL '),
  );
  return rows.map(({ name }) => name);
}
