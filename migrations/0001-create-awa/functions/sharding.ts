/**
 * Shards: a queue's lanes side by side, so that claims and completions of a very busy queue do not meet in one. Order holds within a
 * lane, so with several shards only among jobs of one ordering key.
 */
export const sharding = (s: string): string[] => [
  /*
   * The shard of an ordering key: the first 8 bytes of SHA-256('awa:shard:' || key), both in UTF-8, as a big-endian number without its
   * highest bit, modulo the number of shards. The same on every platform and version, and, thanks to the prefix, unrelated
   * to whatever an application has distributed its keys by. Test vectors are in docs/queues.md.
   */
  `CREATE FUNCTION ${s}.shard_of_key(p_key text, p_shards int) RETURNS int LANGUAGE sql IMMUTABLE AS $awa$
  SELECT ((('x' || encode(substring(sha256(convert_to('awa:shard:' || p_key, 'UTF8')) FROM 1 FOR 8), 'hex'))::bit(64)::bigint
    & 9223372036854775807) % p_shards)::int
$awa$`,

  // Where a job goes: by its key, or by the turn of its batch. Lanes that a smaller number of shards leaves out get nothing new.
  `CREATE FUNCTION ${s}.shard_for(p_queue text, p_key text, p_turn bigint) RETURNS int LANGUAGE sql STABLE AS $awa$
  SELECT CASE WHEN p_key IS NULL THEN (p_turn % q.shards)::int ELSE ${s}.shard_of_key(p_key, q.shards) END
  FROM ${s}.queues q WHERE q.name = p_queue
$awa$`,
];
