import { createHash } from 'node:crypto';

/** The shard of an ordering key, as docs/queues.md says it. */
export function shardOf(orderingKey: string, shards: number): number {
  const digest = createHash('sha256').update(`awa:shard:${orderingKey}`).digest();
  return Number((digest.readBigUInt64BE(0) & 0x7fff_ffff_ffff_ffffn) % BigInt(shards));
}
