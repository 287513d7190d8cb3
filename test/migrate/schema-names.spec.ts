import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { awaMigrations } from '../../migrations/index.js';
import { InvalidOptionsError } from '../../lib/errors/index.js';
import { checkSchemaVersion, runMigrations } from '../../lib/migrate/run-migrations.js';
import { PgAdapter } from '../../lib/storage/adapters/pg.adapter.js';
import { claimJobs } from '../../lib/storage/operations/claim-jobs.js';
import { completeAttempts } from '../../lib/storage/operations/close-attempts.js';
import { getJob } from '../../lib/storage/operations/get-job.js';
import { enqueueJobs } from '../../lib/storage/operations/enqueue-jobs.js';
import { registerInstance } from '../../lib/storage/operations/instances.js';
import { registerQueues } from '../../lib/storage/operations/queues.js';
import { type SchemaName, schemaName } from '../../lib/storage/schema-name.js';
import type { SqlPort } from '../../lib/storage/sql-port.js';
import { newJob } from '../support/storage-fixture.js';
import { useTestDatabase } from '../support/test-database.js';
import { schemas } from './catalog.js';

const database = useTestDatabase({ migrated: false });

/** Enqueues, claims and completes one job. @returns its state */
async function jobGoesThrough(port: SqlPort, schema: SchemaName): Promise<string | undefined> {
  const instanceId = randomUUID();
  const process = { hostname: 'test', pid: 1, version: '0.0.0', queues: [], staleAfterMs: 60_000 };
  await registerQueues(port, schema, ['q']);
  await registerInstance(port, schema, { instanceId, ...process });
  const [id = ''] = await enqueueJobs(port, schema, [newJob('q')]);
  const { jobs: claimed } = await claimJobs(port, schema, instanceId, [{ queue: 'q', limit: 1 }]);
  await completeAttempts(port, schema, claimed);
  return (await getJob(port, schema, id))?.state;
}

describe('a schema', () => {
  it.each([
    ['a reserved word', 'order'],
    ['another one, which is a function too', 'user'],
    ['mixed case', 'MyJobs'],
    ['63 bytes', 'j'.repeat(63)],
    ['63 bytes that are fewer letters', `${'ä'.repeat(31)}j`],
    ['letters that are not ASCII', 'очередь_задач'],
    ['ideographs and digits', '任务2'],
    ['an underscore in front', '_awa'],
  ])('may have a name with %s', async (_what, schema) => {
    const port = new PgAdapter(await database.client());

    expect(await runMigrations(database, { schema })).toEqual([1]);

    expect(await schemas(database)).toContain(schema);
    await expect(checkSchemaVersion(database, { schema })).resolves.toBeUndefined();
    expect(await jobGoesThrough(port, schemaName(schema))).toBe('completed');
  });

  it('with a name that differs in case only is another one', async () => {
    expect(await runMigrations(database, { schema: 'Case' })).toEqual([1]);
    expect(await runMigrations(database, { schema: 'case' })).toEqual([1]);
    expect(schemaName('Case').lockKey).not.toBe(schemaName('case').lockKey);
    expect(schemaName('Case').channel).not.toBe(schemaName('case').channel);
  });

  it.each([
    ['nothing', ''],
    ["Postgres' own prefix", 'pg_jobs'],
    ["Postgres' own prefix in capitals", 'PG_jobs'],
    ['a double quote', 'a"b'],
    ['a single quote', "a'b"],
    ['64 bytes', 'j'.repeat(64)],
    ['63 letters that are more bytes', 'ä'.repeat(63)],
    ['a hyphen', 'a-b'],
    ['a dot', 'a.b'],
    ['NUL', 'a\0b'],
    ['white space', 'a b'],
    ['a line break at its end', 'awa\n'],
    ['a digit in front', '1awa'],
    ['a backslash', String.raw`a\b`],
    ['half of a character', 'a\uD83D'],
  ])('cannot have a name with %s', async (_what, schema) => {
    const before = await schemas(database);
    await expect(runMigrations(database, { schema })).rejects.toBeInstanceOf(InvalidOptionsError);
    await expect(checkSchemaVersion(database, { schema })).rejects.toBeInstanceOf(InvalidOptionsError);
    expect(() => awaMigrations(schema)).toThrow(InvalidOptionsError);
    expect(await schemas(database)).toEqual(before);
  });
});
