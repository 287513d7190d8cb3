import { byJson, type Plain } from '../quint/plain.js';

/** What is compared after each step of a replay of `windows`: jobs and transactions are numbers, as in the model. */
export interface WindowsFacts {
  /** Of the committed jobs that are still known. */
  readonly states: Readonly<Record<string, string>>;
  readonly rows: readonly { readonly job: number; readonly slot: number }[];
  readonly tombstones: readonly { readonly job: number; readonly slot: number }[];
  readonly claims: readonly {
    readonly jobs: readonly number[];
    readonly seq: number;
    readonly slot: number;
  }[];
  /** The snapshots as the transactions that are visible in them. */
  readonly cursor: {
    readonly cur: readonly number[];
    readonly isOpen: boolean;
    readonly pos: number;
    readonly prev: readonly number[];
  };
  readonly readySlot: number;
  readonly sealedReady: readonly number[];
  readonly claimSlot: number;
  readonly sealedClaims: readonly number[];
}

/** The facts as the database has them. Parameters: the queue, and the ids of jobs and of transactions in the order of their numbers. */
export const OBSERVE = `
  WITH jobs AS MATERIALIZED (SELECT u.id, u.n FROM unnest($2::bigint[]) WITH ORDINALITY AS u(id, n)),
  xids AS MATERIALIZED (SELECT u.xid, u.n FROM unnest($3::text[]::xid8[]) WITH ORDINALITY AS u(xid, n)),
  lane AS MATERIALIZED (SELECT l.lane_id FROM awa.queue_lanes l WHERE l.queue = $1 AND l.priority = 2),
  segments AS MATERIALIZED (
    SELECT r.ring, g.slot, g.sealed_at IS NOT NULL AS is_sealed
    FROM (VALUES ('ready'), ('claim')) AS r(ring) CROSS JOIN LATERAL awa.ring_segments(r.ring) g
  )
  SELECT json_build_object(
    'states', (SELECT coalesce(json_object_agg(j.n, r.state), '{}') FROM jobs j CROSS JOIN LATERAL awa.read_job(j.id) r
      WHERE r.state IS NOT NULL),
    'rows', (SELECT coalesce(json_agg(json_build_object('job', j.n, 'slot', e.ready_slot)), '[]')
      FROM jobs j JOIN awa.ready_entries e ON e.job_id = j.id),
    'tombstones', (SELECT coalesce(json_agg(json_build_object('job', j.n, 'slot', t.ready_slot)), '[]')
      FROM jobs j JOIN awa.ready_tombstones t ON t.job_id = j.id),
    'claims', (SELECT coalesce(json_agg(json_build_object('jobs',
        (SELECT coalesce(json_agg(j.n ORDER BY j.n), '[]') FROM jobs j WHERE j.id = ANY (c.job_ids)),
        'seq', c.claim_seq, 'slot', c.claim_slot)), '[]')
      FROM awa.lease_claims c JOIN lane l ON l.lane_id = c.lane_id),
    'cursor', (SELECT json_build_object(
        'cur', (SELECT coalesce(json_agg(x.n ORDER BY x.n), '[]') FROM xids x WHERE pg_visible_in_snapshot(x.xid, k.window_cur)),
        'isOpen', k.window_prev IS NOT NULL,
        'pos', coalesce((SELECT j.n FROM jobs j WHERE j.id = k.pos_job_id), 0),
        'prev', (SELECT coalesce(json_agg(x.n ORDER BY x.n), '[]') FROM xids x WHERE pg_visible_in_snapshot(x.xid, k.window_prev)))
      FROM lane l CROSS JOIN LATERAL awa.lane_cursor(l.lane_id) k),
    'readySlot', (SELECT g.slot FROM segments g WHERE g.ring = 'ready' AND NOT g.is_sealed),
    'sealedReady', (SELECT coalesce(json_agg(g.slot), '[]') FROM segments g WHERE g.ring = 'ready' AND g.is_sealed),
    'claimSlot', (SELECT g.slot FROM segments g WHERE g.ring = 'claim' AND NOT g.is_sealed),
    'sealedClaims', (SELECT coalesce(json_agg(g.slot), '[]') FROM segments g WHERE g.ring = 'claim' AND g.is_sealed)
  ) AS facts`;

interface Snapshot {
  readonly xmax: number;
  readonly xip: readonly number[];
}

/** The model's variables that the facts are made from. */
interface Variables {
  readonly nextXid: number;
  readonly committed: readonly number[];
  readonly rows: readonly { readonly job: number; readonly xid: number; readonly slot: number }[];
  readonly tombstones: WindowsFacts['tombstones'];
  readonly claims: readonly {
    readonly seq: number;
    readonly slot: number;
    readonly jobs: readonly number[];
    readonly at: {
      readonly prev: Snapshot;
      readonly cur: Snapshot;
      readonly pos: number;
      readonly isOpen: boolean;
    };
  }[];
  readonly readySlot: number;
  readonly sealedReady: readonly number[];
  readonly claimSlot: number;
  readonly sealedClaims: readonly number[];
  readonly ended: Readonly<Record<string, string>>;
  readonly jobXid: Readonly<Record<string, number>>;
}

/** The facts as a state of the model has them. */
export function projectWindows(state: Readonly<Record<string, Plain>>): Record<string, Plain> {
  const m = state as unknown as Variables;
  const visible = ({ xmax, xip }: Snapshot): number[] =>
    Array.from({ length: m.nextXid - 1 }, (_, at) => at + 1).filter((x) => x < xmax && !xip.includes(x));
  const rows = m.rows.filter(({ xid }) => m.committed.includes(xid));
  const newest = m.claims.reduce<Variables['claims'][number] | undefined>(
    (best, claim) => (best === undefined || claim.seq > best.seq ? claim : best),
    undefined,
  );
  const open = new Set(m.claims.flatMap(({ jobs }) => jobs));
  const states = Object.entries(m.jobXid).flatMap(([job, xid]): [string, string][] => {
    if (!m.committed.includes(xid)) return [];
    const outcome = m.ended[job];
    // A completed job is known as long as its row is there.
    if (outcome === 'completed' && !rows.some((row) => row.job === Number(job))) return [];
    return [[job, outcome ?? (open.has(Number(job)) ? 'running' : 'available')]];
  });
  const facts: WindowsFacts = {
    states: Object.fromEntries(states),
    rows: rows.map(({ job, slot }) => ({ job, slot })).sort(byJson),
    tombstones: m.tombstones,
    claims: m.claims.map(({ jobs, seq, slot }) => ({ jobs, seq, slot })).sort(byJson),
    cursor: {
      cur: newest === undefined ? [] : visible(newest.at.cur),
      isOpen: newest?.at.isOpen ?? false,
      pos: (newest?.at.pos ?? 0) % 100,
      prev: newest?.at.isOpen === true ? visible(newest.at.prev) : [],
    },
    readySlot: m.readySlot,
    sealedReady: m.sealedReady,
    claimSlot: m.claimSlot,
    sealedClaims: m.sealedClaims,
  };
  return { ...facts };
}
