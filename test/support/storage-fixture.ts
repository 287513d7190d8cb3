import { randomUUID } from 'node:crypto';
import { PgAdapter } from '../../lib/storage/adapters/pg.adapter.js';
import {
  type ClaimedJob,
  type ClaimLimit,
  claimJobs as claim,
} from '../../lib/storage/operations/claim-jobs.js';
import type { NewJob } from '../../lib/storage/operations/enqueue-jobs.js';
import { registerInstance } from '../../lib/storage/operations/instances.js';
import { type QueueRegistration, registerQueues } from '../../lib/storage/operations/queues.js';
import { type SchemaName, schemaName } from '../../lib/storage/schema-name.js';
import type { SqlPort } from '../../lib/storage/sql-port.js';
import type { TestDatabase } from './test-database.js';

/** The schema that the template database was migrated into. */
export const SCHEMA: SchemaName = schemaName();

/** A port on a session of its own. */
export async function openPort(database: TestDatabase): Promise<SqlPort> {
  return new PgAdapter(await database.client());
}

/** An instance that claims, registered for an hour without heartbeat. */
export async function registerTestInstance(
  port: SqlPort,
  staleAfterMs = 3_600_000,
  queues: readonly string[] = [],
): Promise<string> {
  const instanceId = randomUUID();
  await registerInstance(port, SCHEMA, {
    instanceId,
    hostname: 'test',
    pid: process.pid,
    version: '0.0.0',
    queues,
    staleAfterMs,
  });
  return instanceId;
}

/** A queue of the test's own. */
export async function registerTestQueue(
  port: SqlPort,
  settings: Omit<QueueRegistration, 'name'> = {},
): Promise<string> {
  const queue = `queue-${randomUUID()}`;
  await registerQueues(port, SCHEMA, [{ name: queue, ...settings }]);
  return queue;
}

/** What a storage test works with: a session, a queue and an instance that claims, of its own. */
export interface TestLane {
  readonly port: SqlPort;
  readonly queue: string;
  readonly instanceId: string;
}

/** To be called before each test. */
export async function openLane(
  database: TestDatabase,
  settings: Omit<QueueRegistration, 'name'> = {},
): Promise<TestLane> {
  const port = await openPort(database);
  return {
    port,
    queue: await registerTestQueue(port, settings),
    instanceId: await registerTestInstance(port),
  };
}

/** Rings are one for all queues: a test that looks at them as a whole begins with empty ones, in their first generation. */
export async function emptyTables(database: Pick<TestDatabase, 'query'>): Promise<void> {
  await database.query(`TRUNCATE awa.ready_entries, awa.completion_batches, awa.ready_tombstones, awa.lease_claims,
    awa.lease_claim_closures, awa.done_entries, awa.deferred_jobs, awa.dlq_entries, awa.job_unique_claims`);
  await database.query('DELETE FROM awa.ring_prunes');
  await database.query('DELETE FROM awa.ring_rotations WHERE generation > 0');
}

/** A plain job, due now. */
export function newJob(queue: string, overrides: Partial<NewJob> = {}): NewJob {
  return {
    queue,
    priority: 2,
    kind: 'test',
    argsJson: '{}',
    maxAttempts: 25,
    runAt: undefined,
    delayMs: undefined,
    payloadJson: undefined,
    ...overrides,
  };
}

/** Claims, and gives just the jobs. */
export async function claimJobs(
  port: SqlPort,
  schema: SchemaName,
  instanceId: string,
  limits: readonly ClaimLimit[],
): Promise<readonly ClaimedJob[]> {
  return (await claim(port, schema, instanceId, limits)).jobs;
}
