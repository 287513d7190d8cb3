import type { Client } from 'pg';
import { QUEUES } from './chaos-jobs.js';

/** A record of a job that has ended, as the tables have it. */
export interface EndedJob {
  readonly state: 'completed' | 'failed' | 'cancelled';
  /** The attempt that ended it. */
  readonly lease: number;
  /** How many attempts had been counted then. */
  readonly attempt: number;
}

/** What the database says when everything is quiet. */
export interface DatabaseFacts {
  /** By job; each should have one. */
  readonly ended: ReadonlyMap<string, readonly EndedJob[]>;
  /** Run leases of the application's rows, by job. */
  readonly effects: ReadonlyMap<string, readonly number[]>;
  /** What should be 0, by name. */
  readonly leftovers: Readonly<Record<string, number>>;
}

// Straight from the tables: the functions that answer for the library are under test.
const ENDED = `
  WITH last AS (SELECT job_id, max(run_lease) + 1 AS run_lease, max(attempt) + 1 AS attempt FROM awa.ready_entries GROUP BY job_id)
  SELECT b.job_id::text AS id, 'completed' AS state, coalesce(l.run_lease, 0) AS lease, coalesce(l.attempt, 0) AS attempt
  FROM (SELECT unnest(job_ids) AS job_id FROM awa.completion_batches) b LEFT JOIN last l USING (job_id)
  UNION ALL SELECT job_id::text, state, run_lease, attempt FROM awa.done_entries
  UNION ALL SELECT job_id::text, 'failed', run_lease, attempt FROM awa.dlq_entries`;

const LEFTOVERS = `SELECT
  (SELECT count(*) FROM awa.lease_claims c CROSS JOIN LATERAL generate_subscripts(c.job_ids, 1) AS item
    WHERE NOT EXISTS (SELECT FROM awa.lease_claim_closures x
      WHERE x.lane_id = c.lane_id AND x.claim_seq = c.claim_seq AND item = ANY (x.items)))::int AS "open attempts",
  (SELECT count(*) FROM awa.deferred_jobs)::int AS "deferred jobs",
  (SELECT count(*) FROM awa.attempt_state)::int AS "attempt states",
  (SELECT count(*) FROM awa.job_unique_claims)::int AS "unique keys"`;

const CLOSED_TWICE = `SELECT count(*)::int AS times FROM (
  SELECT FROM awa.lease_claim_closures x CROSS JOIN LATERAL unnest(x.items) AS item
  GROUP BY x.lane_id, x.claim_seq, item HAVING count(*) > 1) t`;

const UNFINISHED = `SELECT coalesce(sum(c.jobs), 0)::int AS jobs FROM unnest($1::text[]) AS q(name)
  CROSS JOIN LATERAL awa.count_jobs(q.name, 10000) c WHERE c.state NOT IN ('completed', 'failed', 'cancelled')`;

/** Jobs that wait or run. */
export async function countUnfinished(client: Client): Promise<number> {
  const { rows } = await client.query<{ jobs: number }>(UNFINISHED, [Object.keys(QUEUES)]);
  return rows[0]?.jobs ?? Number.NaN;
}

/** Attempts with two closures. Claims and closures are soon reclaimed: to be asked again and again. */
export async function countClosedTwice(client: Client): Promise<number> {
  const { rows } = await client.query<{ times: number }>(CLOSED_TWICE);
  return rows[0]?.times ?? Number.NaN;
}

export async function readFacts(client: Client): Promise<DatabaseFacts> {
  const ended = new Map<string, EndedJob[]>();
  const { rows } = await client.query<EndedJob & { id: string }>(ENDED);
  for (const { id, state, lease, attempt } of rows) {
    const records = ended.get(id) ?? [];
    records.push({ state, lease, attempt });
    ended.set(id, records);
  }
  const effects = new Map<string, number[]>();
  const written = await client.query<{ id: string; lease: number }>(
    'SELECT job_id::text AS id, run_lease AS lease FROM public.chaos_effects',
  );
  for (const { id, lease } of written.rows) effects.set(id, [...(effects.get(id) ?? []), lease]);
  const leftovers = await client.query<Record<string, number>>(LEFTOVERS);
  return { ended, effects, leftovers: leftovers.rows[0] ?? {} };
}
