import assert from 'node:assert/strict';
import type { RefJob } from '../reference/job.js';
import type { Reference } from '../reference/reference.js';
import type { World } from '../world.js';

/**
 * Of two operations at once, either may have written first, whichever took effect first: the engine says in which order their
 * jobs stand in line, and in which they are due. It is asked about what came after `xid` and `tick`.
 */
export async function learnOrder(
  ref: Reference,
  { database }: World,
  xid: number,
  tick: number,
): Promise<void> {
  const rows = ref.jobs.flatMap(({ row }) => (row !== undefined && row.xid > xid ? [row] : []));
  if (new Set(rows.map((row) => row.xid)).size > 1) {
    const order = await ranks(
      database,
      `SELECT job_id::text AS id, dense_rank() OVER (ORDER BY max(enqueue_xid))::int AS rank
       FROM awa.ready_entries WHERE job_id = ANY ($1::bigint[]) GROUP BY job_id`,
      rows.map(({ job }) => job),
    );
    for (const row of rows) row.xid = xid + order.get(row.job.id)! / 1_000;
  }
  const due = ref.jobs.filter((job) => job.due !== undefined && job.due.tick > tick);
  if (new Set(due.map((job) => job.due!.tick)).size > 1) {
    const order = await ranks(
      database,
      `SELECT job_id::text AS id, dense_rank() OVER (ORDER BY run_at)::int AS rank
       FROM awa.deferred_jobs WHERE job_id = ANY ($1::bigint[])`,
      due,
    );
    for (const job of due) job.due = { hour: job.due!.hour, tick: tick + order.get(job.id)! / 1_000 };
  }
}

/** The records lie in the segments that they would lie in after this order: what a rotation beside them decides. */
export async function checkSegments(ref: Reference, { database }: World): Promise<void> {
  const ready = ref.in('available', 'running', 'completed').map(({ id, row }) => [id, row!.segment] as const);
  const done = ref.jobs.flatMap(({ id, doneSegment }) =>
    doneSegment === undefined ? [] : [[id, doneSegment] as const],
  );
  const { rows } = await database.query<{ ring: string; id: string; generation: number }>(
    `SELECT DISTINCT ON (e.job_id) 'ready' AS ring, e.job_id::text AS id, g.generation::int AS generation
     FROM awa.ready_entries e JOIN awa.ring_segments('ready') g ON g.slot = e.ready_slot
     WHERE e.job_id = ANY ($1::bigint[]) ORDER BY e.job_id, e.run_lease DESC`,
    [ready.map(([id]) => id)],
  );
  const { rows: ended } = await database.query<{ id: string; generation: number }>(
    `SELECT e.job_id::text AS id, g.generation::int AS generation
     FROM awa.done_entries e JOIN awa.ring_segments('done') g ON g.slot = e.done_slot
     WHERE e.job_id = ANY ($1::bigint[])`,
    [done.map(([id]) => id)],
  );
  const segments = (some: readonly { id: string; generation: number }[]) =>
    Object.fromEntries(some.map(({ id, generation }) => [id, generation]));
  assert.deepEqual(segments(rows), Object.fromEntries(ready));
  assert.deepEqual(segments(ended), Object.fromEntries(done));
}

async function ranks(
  database: World['database'],
  sql: string,
  jobs: readonly RefJob[],
): Promise<Map<string, number>> {
  const { rows } = await database.query<{ id: string; rank: number }>(sql, [jobs.map(({ id }) => id)]);
  return new Map(rows.map(({ id, rank }) => [id, rank]));
}
