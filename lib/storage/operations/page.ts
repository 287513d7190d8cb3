/** Where a page begins. The timestamp, if the order has one, in microseconds since the epoch; both as decimal strings. */
export interface Position {
  readonly key: string;
  readonly id: string;
}

/** Which rows of a walk to read. */
export interface PageRange {
  /** Begins behind this; undefined: at the beginning. */
  readonly after: Position | undefined;
  readonly limit: number;
}

/** One page. It may be short, even empty, and yet not be the last: a call looks at a bounded number of rows. */
export interface Page<Item> {
  readonly items: readonly Item[];
  /** Where the next page begins; undefined: this is the last. */
  readonly next: Position | undefined;
}

/** Rows of each lane that a page with a filter looks at. */
const FILTERED_SCAN = 2_000;

/** How far to look for a page: no further than it is long when there is nothing that a row could fail to match. */
export function scanDepth(limit: number, isFiltered: boolean): number {
  return isFiltered ? Math.max(limit, FILTERED_SCAN) : limit;
}

/** What each row of a walk says: its own position, and how far the walk has looked. Without a match there is one, of NULLs. */
export interface WalkRow {
  readonly id: string | null;
  readonly key: string | null;
  readonly edge_key: string | null;
  readonly edge_id: string | null;
}

/** Makes a page of the rows of a walk. */
export function toPage<Row extends WalkRow, Item>(
  rows: readonly Row[],
  limit: number,
  toItem: (row: Row) => Item,
): Page<Item> {
  const found = rows.filter(({ id }) => id !== null);
  const last = found.at(-1);
  const edge = rows[0];
  let next: Position | undefined;
  if (last?.id != null && found.length >= limit) next = { key: last.key ?? '0', id: last.id };
  else if (edge?.edge_id != null) next = { key: edge.edge_key ?? '0', id: edge.edge_id };
  return { items: found.map(toItem), next };
}

/** A timestamp as a position has it: exact, and the same in every session, whatever its time zone. */
export const microseconds = (column: string): string =>
  `(extract(epoch FROM ${column}) * 1000000)::bigint::text`;

/** And back. */
export const fromMicroseconds = (parameter: string): string =>
  `(timestamptz 'epoch' + ${parameter}::bigint * interval '1 microsecond')`;
