/** A ring of partitions: written one slot after the other, and reclaimed by TRUNCATE of all tables of a slot together. */
export interface Ring {
  readonly name: 'ready' | 'claim' | 'done';
  readonly slots: number;
  /** The column that the tables are partitioned by. */
  readonly slotColumn: string;
  /** In the order in which they are locked. */
  readonly tables: readonly string[];
}

/** The catalogue of all rings: tables, functions and the down migration are made from it. */
export const RINGS: readonly Ring[] = [
  {
    name: 'ready',
    slots: 8,
    slotColumn: 'ready_slot',
    tables: ['ready_entries', 'completion_batches', 'ready_tombstones'],
  },
  // Few: what a sealed slot still has to keep is small and moves on, so a slot is free again soon.
  { name: 'claim', slots: 4, slotColumn: 'claim_slot', tables: ['lease_claims', 'lease_claim_closures'] },
  { name: 'done', slots: 6, slotColumn: 'done_slot', tables: ['done_entries'] },
];

/** The statements that make the children of a ring table, and what `each` gives for every child. */
export function children(
  s: string,
  table: string,
  storage: string,
  each: (child: string) => string[],
): string[] {
  const ring = RINGS.find(({ tables }) => tables.includes(table));
  if (ring === undefined) throw new Error(`${table} is not in a ring`);
  return Array.from({ length: ring.slots }, (_, slot) => [
    `CREATE TABLE ${s}.${table}_${slot} PARTITION OF ${s}.${table} FOR VALUES IN (${slot}) ${storage}`,
    ...each(`${table}_${slot}`),
  ]).flat();
}
