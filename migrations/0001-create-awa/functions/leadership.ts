/**
 * current_leader: the instance that leads; NULL when none does, e.g. where all workers are behind a transaction pooler.
 *
 * Nothing is stored: the leader is the session that holds the lock, and the session's name says whose it is. So it cannot be out
 * of date, and a change of leaders writes nothing. Everybody may see locks and the names of sessions.
 */
export const leadership = (s: string, leaderKey: string): string[] => [
  `CREATE FUNCTION ${s}.current_leader() RETURNS uuid LANGUAGE sql VOLATILE AS $awa$
  SELECT substring(a.application_name FROM '^awa leader ([0-9a-f-]{36})$')::uuid
  FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
  WHERE l.locktype = 'advisory' AND l.granted AND l.mode = 'ExclusiveLock' AND l.objsubid = 1
    AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = current_database())
    AND (l.classid::bigint << 32) | l.objid::bigint = ${leaderKey}::bigint
$awa$`,
];
