import type { Plain } from '../quint/plain.js';

/** What one session sees of jobs and keys, by their numbers in the model. */
interface View {
  /** Of the jobs that there are; a dead letter is `dead`. */
  readonly jobs: Readonly<Record<string, string>>;
  /** Of the keys that are held: by whom, whether the period is over, and where the record of an ended holder lies. */
  readonly keys: Readonly<Record<string, { holder: number; over: boolean; record: string }>>;
}

/** What is compared after each step of a replay of `uniqueness`. */
export interface UniquenessFacts {
  /** What everybody sees. */
  readonly committed: View;
  /** What the open transactions see, by their connection; of those with one snapshot nothing. */
  readonly own: Readonly<Record<string, View>>;
  /** Connections with a statement that waits. */
  readonly waiting: readonly number[];
  readonly sealed: readonly string[];
}

/** A {@link View} and the sealed rings. Parameters: the ids of jobs and the keys, in the order of their numbers. */
export const OBSERVE = `
  WITH jobs AS MATERIALIZED (
    SELECT u.id, u.n::int AS n, r.state, r.dead_letter
    FROM unnest($1::bigint[]) WITH ORDINALITY AS u(id, n) LEFT JOIN LATERAL awa.read_job(u.id) r ON true
  )
  SELECT json_build_object(
    'jobs', (SELECT coalesce(json_object_agg(j.n, CASE WHEN j.dead_letter THEN 'dead' ELSE j.state END), '{}')
      FROM jobs j WHERE j.state IS NOT NULL),
    'keys', (SELECT coalesce(json_object_agg(k.n, json_build_object(
        'holder', coalesce(j.n, -1),
        'over', coalesce(c.expires_at <= clock_timestamp(), false),
        'record', CASE WHEN j.state IS NULL THEN 'gone' WHEN c.record_ring IS NULL THEN 'none' ELSE
          c.record_ring || CASE WHEN c.record_slot = awa.current_slot(c.record_ring) THEN '' ELSE ' sealed' END END)), '{}')
      FROM unnest($2::text[]) WITH ORDINALITY AS k(key, n)
      JOIN awa.job_unique_claims c ON c.unique_key = decode(k.key, 'hex') LEFT JOIN jobs j ON j.id = c.job_id)
  ) AS view, (
    SELECT coalesce(json_agg(r.ring ORDER BY r.ring), '[]') FROM (VALUES ('done'), ('ready')) AS r(ring)
    WHERE EXISTS (SELECT FROM awa.ring_segments(r.ring) g WHERE g.sealed_at IS NOT NULL)
  ) AS sealed`;

interface Cell<Item> {
  readonly now: Item;
  readonly was: Item;
  readonly by: number;
}

interface Job {
  readonly state: string;
}

interface Row {
  readonly holder: number;
  readonly over: boolean;
  readonly ring: string;
  readonly slot: number;
}

/** The model's variables that the facts are made from. */
interface Variables {
  readonly w: {
    readonly jobs: Readonly<Record<string, Cell<Job>>>;
    readonly rows: Readonly<Record<string, Cell<Row>>>;
  };
  readonly conns: Readonly<Record<string, { readonly phase: string; readonly isFixed: boolean }>>;
  readonly sealed: readonly string[];
}

/** The facts as a state of the model has them. */
export function projectUniqueness(state: Readonly<Record<string, Plain>>): Record<string, Plain> {
  const { w, conns, sealed } = state as unknown as Variables;
  const view = (conn: number): View => {
    const seen = <Item>({ now, was, by }: Cell<Item>): Item => (by === conn ? now : was);
    const jobs = Object.entries(w.jobs).flatMap(([job, cell]): [string, string][] => {
      const { state: name } = seen(cell);
      return name === 'absent' || name === 'gone' ? [] : [[job, name]];
    });
    const keys = Object.entries(w.rows).flatMap(([key, cell]): [string, View['keys'][string]][] => {
      const { holder, over, ring, slot } = seen(cell);
      if (holder === 0) return [];
      const record = ring === '' ? 'none' : `${ring}${slot === 1 ? '' : ' sealed'}`;
      const isGone = !jobs.some(([job]) => job === String(holder));
      return [[key, { holder, over, record: isGone ? 'gone' : record }]];
    });
    return { jobs: Object.fromEntries(jobs), keys: Object.fromEntries(keys) };
  };
  const inPhase = (phase: string): number[] =>
    Object.keys(conns).flatMap((conn) => (conns[conn]!.phase === phase ? [Number(conn)] : []));
  const facts: UniquenessFacts = {
    committed: view(0),
    own: Object.fromEntries(
      inPhase('open')
        .filter((conn) => !conns[conn]!.isFixed)
        .map((conn) => [conn, view(conn)]),
    ),
    waiting: inPhase('waiting'),
    sealed: [...sealed].sort(),
  };
  return { ...facts } as unknown as Record<string, Plain>;
}
