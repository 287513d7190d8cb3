/** Greater than every job id. */
const LAST_ID = '9223372036854775807';

/** A walk over an index that begins with the lane, over many lanes at once, in the order of the rest of it. */
export interface LaneWalk {
  /** A table with lane_id and job_id, and what to read of it besides these and the key. */
  readonly table: string;
  readonly columns: string;
  /** The column that the index has before job_id; undefined when there is none. */
  readonly key?: string;
  /** What the index's column `state` has to be, when the index has that between the lane and job_id. */
  readonly state?: string;
  /** Reads only what lies in these ranges g of a lane, by a condition on e and g. */
  readonly ranges?: { readonly from: string; readonly condition: string };
  readonly direction: 'ASC' | 'DESC';
}

/** The parts of a statement that walks. */
export interface LaneWalkSql {
  /** `walked`: at most p_scan rows of each of v_lanes, from (v_key, v_id) on; `edge`: see {@link laneWalk}. */
  readonly ctes: string;
  /** Whether row w of `walked` may be used. */
  readonly usable: string;
  /** For ORDER BY, of rows with this alias. */
  order(alias: string): string;
}

/**
 * Reads at most p_scan rows a lane. When some lane may have more, `edge` is the position that all lanes were read up to: rows
 * behind it must not be used yet, and the walk goes on from there. When all lanes were read to their end, it is empty.
 *
 * So a filter that fits nothing costs a bounded number of rows a call; and with p_scan = the size of a page, and no further
 * filter, a page is full whenever there is enough to fill it.
 */
export function laneWalk({ table, columns, key, state, ranges, direction }: LaneWalk): LaneWalkSql {
  const forward = direction === 'ASC';
  const position = (alias: string) =>
    key === undefined ? `${alias}.job_id` : `(${alias}.${key}, ${alias}.job_id)`;
  const order = (alias: string, way: string) =>
    key === undefined ? `${alias}.job_id ${way}` : `${alias}.${key} ${way}, ${alias}.job_id ${way}`;
  const back = forward ? 'DESC' : 'ASC';
  const isBehind = `${position('e')} ${forward ? '>' : '<'} ${key === undefined ? 'v_id' : '(v_key, v_id)'}`;
  // As one range of the index, and its whole order: with equalities, the planner could take an index on job_id alone, and walk
  // over all other lanes' rows.
  const inState = (operator: string, id: string) =>
    `(e.lane_id, e.state, e.job_id) ${operator} (n.lane_id, ${state}, ${id})`;
  const conditions =
    state === undefined
      ? ['e.lane_id = n.lane_id', ...(ranges === undefined ? [] : [ranges.condition]), isBehind]
      : forward
        ? [inState('>', 'v_id'), inState('<=', LAST_ID)]
        : [inState('<', 'v_id'), inState('>', '0')];
  const indexOrder =
    state === undefined
      ? order('e', direction)
      : `e.lane_id ${direction}, e.state ${direction}, e.job_id ${direction}`;
  const read = `SELECT e.lane_id, e.job_id, ${key === undefined ? '' : `e.${key}, `}${columns}
      FROM ${table} e
      WHERE ${conditions.join(' AND ')}
      ORDER BY ${indexOrder} LIMIT p_scan`;
  return {
    ctes: `walked AS MATERIALIZED (
    SELECT w.* FROM unnest(v_lanes) AS n(lane_id) CROSS JOIN LATERAL (
      ${ranges === undefined ? read : `SELECT r.* FROM ${ranges.from} g CROSS JOIN LATERAL (${read}) r ORDER BY ${order('r', direction)} LIMIT p_scan`}
    ) w
  ), edge AS MATERIALIZED (
    SELECT f.* FROM (
      SELECT DISTINCT ON (w.lane_id) w.*, count(*) OVER (PARTITION BY w.lane_id) AS rows_read FROM walked w
      ORDER BY w.lane_id, ${order('w', back)}
    ) f
    WHERE f.rows_read = p_scan ORDER BY ${order('f', direction)} LIMIT 1
  )`,
    usable: `(NOT EXISTS (SELECT FROM edge) OR ${position('w')} ${forward ? '<=' : '>='} (SELECT ${key === undefined ? '' : `g.${key}, `}g.job_id FROM edge g))`,
    order: (alias) => order(alias, direction),
  };
}
