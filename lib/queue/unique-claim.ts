import { createHash, type Hash } from 'node:crypto';
import { UNIQUE_STATES, type UniqueOptions } from '../jobs/index.js';
import type { UniqueClaim } from '../storage/operations/enqueue-unique-jobs.js';
import { canonicalJson } from './canonical-json.js';

/** 128 bits: among a billion keys the chance that two collide is 1 in 10^21. */
const KEY_BYTES = 16;

/** What a part of the hashed text says. Stored keys depend on these: never give a number another meaning. */
const TAG = { kind: 1, queue: 2, key: 3, args: 4, path: 5, value: 6, absent: 7, period: 8 } as const;

/**
 * Writes down what makes a job unique. The key is a hash over the kind and each chosen part, every part with its tag and its
 * length before it: no two choices of parts, and no two ways to cut a text into parts, give one key. The window of a period is
 * not in it, only the period's length: which window it is, the database's clock says.
 *
 * @param queue the job's queue
 * @param argsJson the arguments as they are stored
 */
export function uniqueClaim(
  { key, args, queue: byQueue, period, states = [] }: UniqueOptions,
  kind: string,
  queue: string,
  argsJson: string,
): UniqueClaim {
  const hash = createHash('sha256');
  add(hash, TAG.kind, kind);
  if (byQueue) add(hash, TAG.queue, queue);
  if (key !== undefined) add(hash, TAG.key, key);
  if (args !== undefined) addArgs(hash, args, JSON.parse(argsJson));
  if (period !== undefined) add(hash, TAG.period, String(period));
  return {
    key: hash.digest().toString('hex', 0, KEY_BYTES),
    periodMs: period,
    heldAfter: [...new Set(states)].filter((state) => !UNIQUE_STATES.includes(state)),
  };
}

function addArgs(hash: Hash, args: true | readonly string[], value: unknown): void {
  if (args === true) {
    add(hash, TAG.args, canonicalJson(value));
    return;
  }
  for (const path of [...new Set(args)].toSorted()) {
    const found = at(value, path.split('.'));
    add(hash, TAG.path, path);
    if (found === undefined) add(hash, TAG.absent, '');
    else add(hash, TAG.value, canonicalJson(found));
  }
}

/** What is at a path of a JSON value; undefined when there is nothing. */
function at(value: unknown, [key, ...rest]: readonly string[]): unknown {
  if (key === undefined) return value;
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
  return at((value as Readonly<Record<string, unknown>>)[key], rest);
}

function add(hash: Hash, tag: number, text: string): void {
  const head = Buffer.alloc(5);
  head.writeUInt8(tag, 0);
  head.writeUInt32BE(Buffer.byteLength(text), 1);
  hash.update(head).update(text, 'utf8');
}
