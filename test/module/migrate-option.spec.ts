import { AwaModule, defineJob, QueueService, SchemaMismatchError } from 'nestjs-awa';
import { afterEach, describe, expect, it } from 'vitest';
import { runMigrations } from '../../lib/migrate/run-migrations.js';
import { handlerOf, jobIn } from '../support/test-app.js';
import { useTestDatabase } from '../support/test-database.js';
import { useNestApps } from './nest-apps.js';

const Greet = defineJob<{ name: string }>('greet');

const database = useTestDatabase({ migrated: false });
const apps = useNestApps();

afterEach(async () => {
  await database.query('DROP SCHEMA IF EXISTS awa CASCADE');
});

async function start(migrate?: 'run' | 'check' | 'off'): Promise<QueueService> {
  const imports = [AwaModule.forRoot({ url: database.url, ...(migrate === undefined ? {} : { migrate }) })];
  const app = await apps.start({ imports, providers: [handlerOf(Greet, () => undefined)] });
  return app.get(QueueService);
}

/** Runs a job. @returns its state in the end */
async function runJob(queue: QueueService): Promise<string> {
  const { id } = await queue.enqueue(Greet, { name: 'Ada' });
  return (await jobIn('completed', queue, id)).state;
}

async function hasSchema(): Promise<boolean> {
  return (await database.query("SELECT 1 FROM pg_namespace WHERE nspname = 'awa'")).rows.length > 0;
}

describe('migrate: "run"', () => {
  it('brings an empty database up to date, and does nothing the next time', async () => {
    expect(await runJob(await start('run'))).toBe('completed');
    expect(await runJob(await start('run'))).toBe('completed');
    const { rows } = await database.query('SELECT version FROM awa.schema_versions');
    expect(rows).toEqual([{ version: 1 }]);
  });

  it('does so once for five applications that start at once', async () => {
    const queues = await Promise.all(Array.from({ length: 5 }, () => start('run')));
    for (const queue of queues) expect(await runJob(queue)).toBe('completed');
  });

  it('refuses a schema of a newer release', async () => {
    await runMigrations(database);
    await database.query("INSERT INTO awa.schema_versions (version, name) VALUES (99, 'FromTheFuture')");
    await expect(start('run')).rejects.toBeInstanceOf(SchemaMismatchError);
    expect((await database.query('SELECT name FROM awa.queues')).rows).toEqual([]);
  });
});

describe.each([undefined, 'check'] as const)('migrate: %s', (migrate) => {
  it('refuses an empty database, and leaves it so', async () => {
    const error: unknown = await start(migrate).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(SchemaMismatchError);
    expect(error).toMatchObject({ database: 'missing' });
    expect(await hasSchema()).toBe(false);
  });

  it('starts where all is there', async () => {
    await runMigrations(database);
    expect(await runJob(await start(migrate))).toBe('completed');
  });
});

describe('migrate: "off"', () => {
  it('does not look at the version', async () => {
    await runMigrations(database);
    await database.query("INSERT INTO awa.schema_versions (version, name) VALUES (99, 'FromTheFuture')");
    expect(await runJob(await start('off'))).toBe('completed');
  });

  it('creates nothing', async () => {
    // undefined_schema
    await expect(start('off')).rejects.toMatchObject({ code: '3F000' });
    expect(await hasSchema()).toBe(false);
  });
});
