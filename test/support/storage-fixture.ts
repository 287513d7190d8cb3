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
