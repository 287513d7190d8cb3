import type { Client } from 'pg';
import { DeadLetterService, QueueAdminService, type QueueService } from 'nestjs-awa';
import type { SqlPort } from '../../lib/storage/sql-port.js';
import { openPort, registerTestInstance } from '../support/storage-fixture.js';
import type { TestApps } from '../support/test-app.js';
import type { TestDatabase } from '../support/test-database.js';
import { HOUR_MS, QUEUES } from './reference/queues.js';
import { Reference } from './reference/reference.js';

/** Worker processes, which are no more than rows to the storage. */
const INSTANCES = 3;

/** The engine: what an application has of it, and the port that a worker uses. */
export interface World {
  readonly database: TestDatabase;
  readonly queue: QueueService;
  readonly queues: QueueAdminService;
  readonly deadLetters: DeadLetterService;
  readonly port: SqlPort;
  /** For two at once. */
  readonly racers: readonly SqlPort[];
  /** Reads what is there after each command. */
  readonly reader: SqlPort;
  /** A session for each transaction that may be open at a time. */
  readonly clients: readonly Client[];
  /** One for what waits, or holds others up, within a step. */
  readonly holder: Client;
  /** How often each step was taken, so that a step that never can be is noticed. */
  readonly seen: Map<string, number>;
}

export async function openWorld(database: TestDatabase, apps: TestApps): Promise<World> {
  const queues = QUEUES.map(({ name, shards, aging, deadLetterHours }) => [
    name,
    {
      shards,
      aging,
      ...(deadLetterHours === undefined ? {} : { deadLetter: { retention: deadLetterHours * HOUR_MS } }),
    },
  ]);
  const { app, queue } = await apps.start({
    worker: false,
    queues: Object.fromEntries(queues) as Record<string, object>,
  });
  return {
    database,
    queue,
    queues: app.get(QueueAdminService),
    deadLetters: app.get(DeadLetterService),
    port: await openPort(database),
    racers: [await openPort(database), await openPort(database)],
    reader: await openPort(database),
    clients: await Promise.all([1, 2, 3].map(() => database.client())),
    holder: await database.client(),
    seen: new Map(),
  };
}

/** Everything that a run leaves. TRUNCATE would take fifty times as long: it makes new files for each of a hundred relations. */
const EMPTY = [
  'ready_entries',
  'completion_batches',
  'ready_tombstones',
  'lease_claims',
  'lease_claim_closures',
  'done_entries',
  'deferred_jobs',
  'dlq_entries',
  'job_unique_claims',
  'attempt_state',
  'runtime_instances',
  'ring_prunes',
]
  .map((table) => `DELETE FROM awa.${table};`)
  .join('\n');

/** As after the migration and the first start, but for ids and transaction ids, which go on; and the reference for it. */
export async function begin({ database, port }: World): Promise<Reference> {
  await database.query(`${EMPTY}
    DELETE FROM awa.ring_rotations WHERE generation > 0;
    UPDATE awa.queues SET paused_at = NULL WHERE paused_at IS NOT NULL`);
  const instances = [];
  for (let index = 0; index < INSTANCES; index++)
    instances.push({ id: await registerTestInstance(port), state: 'alive' as const });
  return new Reference(instances);
}

/** Counts something that was to be seen. */
export function witness({ seen }: World, name: string): void {
  seen.set(name, (seen.get(name) ?? 0) + 1);
}

/** To be called after each run, however it ended. */
export async function end({ clients, holder }: World): Promise<void> {
  for (const client of [...clients, holder]) await client.query('ROLLBACK');
}
