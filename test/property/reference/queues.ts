/** How a queue of the properties is set up, and what that promises about its order. */
export interface RefQueue {
  readonly name: string;
  readonly shards: number;
  /** Milliseconds; 0: the stored priority decides, so that it is known which lane comes first. */
  readonly aging: number;
  /** Hours for which dead letters are kept; undefined: there are none. */
  readonly deadLetterHours: number | undefined;
}

export const HOUR_MS = 3_600_000;

/** For dead letters that a queue without them got by hand. */
export const DEFAULT_DEAD_LETTER_HOURS = 30 * 24;

export const QUEUES: readonly RefQueue[] = [
  { name: 'plain', shards: 1, aging: 0, deadLetterHours: undefined },
  { name: 'held', shards: 1, aging: 0, deadLetterHours: 2 },
  { name: 'wide', shards: 2, aging: 0, deadLetterHours: undefined },
  { name: 'aging', shards: 1, aging: 60_000, deadLetterHours: undefined },
];

export function queueNamed(name: string): RefQueue {
  const queue = QUEUES.find((each) => each.name === name);
  if (queue === undefined) throw new Error(`no queue "${name}"`);
  return queue;
}
