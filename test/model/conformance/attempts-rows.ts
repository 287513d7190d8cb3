import type { Client } from 'pg';
import { byJson, type Plain } from '../quint/plain.js';

/** What the tables hold, by the model's variables; everything in an order of its own. */
export type AttemptsRows = Readonly<Record<string, Plain>>;

/** The numbers that the model gives jobs and instances, by their ids in the database. */
export interface Numbers {
  readonly jobs: ReadonlyMap<string, number>;
  readonly instances: ReadonlyMap<string, number>;
}

// Straight from the tables: what answers for the library is under test. One statement, so that it is of one snapshot.
const ROWS = {
  name: 'attempts_rows',
  text: `WITH items AS MATERIALIZED (
    SELECT i.job_id, i.run_lease, c.instance_id, (
      SELECT count(*)::int FROM awa.lease_claim_closures x CROSS JOIN LATERAL unnest(x.items) AS item
      WHERE x.lane_id = c.lane_id AND x.claim_seq = c.claim_seq AND item = i.item
    ) AS wins
    FROM awa.lease_claims c CROSS JOIN LATERAL unnest(c.job_ids, c.run_leases) WITH ORDINALITY AS i(job_id, run_lease, item)
  ), ready AS MATERIALIZED (
    SELECT e.job_id, e.run_lease, e.attempt FROM awa.ready_entries e
  ), completed AS MATERIALIZED (
    SELECT unnest(job_ids) AS job_id FROM awa.completion_batches
  ), rows AS (
    SELECT 'waiting' AS place, r.job_id, r.attempt, r.run_lease, NULL::text AS more FROM ready r
    WHERE NOT EXISTS (SELECT FROM items i WHERE i.job_id = r.job_id AND i.run_lease = r.run_lease + 1)
      AND NOT EXISTS (SELECT FROM awa.ready_tombstones t WHERE t.job_id = r.job_id AND t.run_lease = r.run_lease)
    UNION ALL SELECT 'deferred', job_id, attempt, run_lease, NULL FROM awa.deferred_jobs
    UNION ALL SELECT 'open', i.job_id, r.attempt, i.run_lease, i.instance_id::text
    FROM items i JOIN ready r ON r.job_id = i.job_id AND r.run_lease = i.run_lease - 1 WHERE i.wins = 0
    UNION ALL SELECT 'ended', c.job_id, r.attempt + 1, r.run_lease + 1, 'completed'
    FROM completed c CROSS JOIN LATERAL (
      SELECT n.attempt, n.run_lease FROM ready n WHERE n.job_id = c.job_id ORDER BY n.run_lease DESC LIMIT 1
    ) r
    UNION ALL SELECT 'ended', job_id, attempt, run_lease, state FROM awa.done_entries
    UNION ALL SELECT 'ended', job_id, attempt, run_lease, 'dead' FROM awa.dlq_entries
    UNION ALL SELECT 'saved', job_id, NULL, run_lease, NULL FROM awa.attempt_state
    UNION ALL SELECT 'wins', job_id, NULL, run_lease, wins::text FROM items WHERE wins > 0
    UNION ALL SELECT 'listed', NULL, NULL, NULL, instance_id::text FROM awa.runtime_instances
  ) SELECT place, job_id::text AS job, attempt, run_lease AS lease, more FROM rows`,
};

interface Row {
  readonly place: string;
  readonly job: string;
  readonly attempt: number;
  readonly lease: number;
  /** Owner, state, number or instance. */
  readonly more: string;
}

/** What is committed now, as the model would say it; of the instances, which are on the list. */
export async function readRows(
  owner: Client,
  { jobs, instances }: Numbers,
): Promise<{ readonly rows: AttemptsRows; readonly listed: ReadonlySet<number> }> {
  const { rows } = await owner.query<Row>(ROWS);
  const number = (of: ReadonlyMap<string, number>, id: string): number => {
    const found = of.get(id);
    if (found === undefined) throw new Error(`${id} is not of this walk`);
    return found;
  };
  const as = (place: string, plain: (row: Row) => Plain): Plain[] =>
    rows
      .filter((each) => each.place === place)
      .map(plain)
      .sort(byJson);
  const row = ({ job, attempt, lease }: Row) => ({ attempt, job: number(jobs, job), lease });
  const wins = as('wins', ({ job, lease, more }) => [[number(jobs, job), lease], Number(more)]);
  return {
    rows: {
      waiting: as('waiting', row),
      deferred: as('deferred', row),
      open: as('open', (each) => ({ ...row(each), owner: number(instances, each.more) })),
      ended: as('ended', (each) => ({ ...row(each), state: each.more })),
      saved: as('saved', ({ job, lease }) => ({ job: number(jobs, job), lease })),
      // So a map without pairs is written.
      wins: wins.length === 0 ? {} : wins,
    },
    listed: new Set(rows.flatMap(({ place, more }) => (place === 'listed' ? [number(instances, more)] : []))),
  };
}
