/** Of the server, as the public harness has them. The comparison is a package of its own and keeps a copy (runner/postgres.ts). */
export const SERVER_SETTINGS: Readonly<Record<string, string>> = {
  shared_buffers: '256MB',
  work_mem: '8MB',
  maintenance_work_mem: '128MB',
  max_connections: '400',
  synchronous_commit: 'on',
  wal_level: 'replica',
  autovacuum_naptime: '60s',
  autovacuum_vacuum_cost_limit: '200',
  autovacuum_vacuum_cost_delay: '2ms',
};
