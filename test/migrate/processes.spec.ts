import type { Client } from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runMigrations } from '../../lib/migrate/run-migrations.js';
import { useCompiledPrograms } from '../support/compiled-programs.js';
import { until } from '../support/signals.js';
import { useTestDatabase } from '../support/test-database.js';
import { catalog, recordedVersions, waitsForLock } from './catalog.js';

const database = useTestDatabase({ migrated: false });
const programs = useCompiledPrograms(import.meta.dirname);

/** Any number that the library does not lock. */
const START_LOCK = '42';

afterEach(async () => {
  await database.query('DROP SCHEMA IF EXISTS awa CASCADE');
});

async function pidsWaiting(applicationName: string): Promise<number[]> {
  const { rows } = await database.query<{ pid: number }>(
    `SELECT pid FROM pg_stat_activity
     WHERE datname = current_database() AND application_name = $1 AND wait_event_type = 'Lock'`,
    [applicationName],
  );
  return rows.map(({ pid }) => pid);
}

describe('ten processes that start at once', () => {
  it('migrate once, and all of them succeed', async () => {
    const starter = await database.client();
    await starter.query('SELECT pg_advisory_lock($1)', [START_LOCK]);
    const started = Array.from({ length: 10 }, () => programs.start('migrate', database.url, START_LOCK));
    await until(async () => (await pidsWaiting('at the start')).length === 10, {
      what: 'ten processes being ready',
      timeoutMs: 25_000,
    });
    await starter.query('SELECT pg_advisory_unlock($1)', [START_LOCK]);

    const ends = await Promise.all(started.map(({ ended }) => ended));

    expect(ends.filter(({ code }) => code !== 0)).toEqual([]);
    expect(ends.map(({ stdout }) => stdout).sort()).toEqual(['[1]', ...Array<string>(9).fill('[]')]);
    expect(await recordedVersions(database)).toHaveLength(1);
  });
});

describe('a migration that is cut off half-way', () => {
  let obstacle: Client;
  let before: string[];

  // A table of another session that is not committed: the migration has to wait for it in the midst of its own.
  beforeEach(async () => {
    await database.query('CREATE SCHEMA awa');
    before = await catalog(database);
    obstacle = await database.client();
    await obstacle.query('BEGIN');
    await obstacle.query('CREATE TABLE awa.lease_claims (obstacle int)');
  });

  it('by the end of its backend leaves nothing, says why, and the next run works', async () => {
    const failure = runMigrations(database).catch((error: unknown) => error);
    await until(() => waitsForLock(database), { what: 'the migration waiting' });
    await database.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
    );
    // admin_shutdown
    expect(await failure).toMatchObject({ code: '57P01' });
    await obstacle.query('ROLLBACK');

    expect(await catalog(database)).toEqual(before);
    expect(await runMigrations(database)).toEqual([1]);
  });

  it('by the end of its process leaves nothing, and the next run works', async () => {
    const { child, ended } = programs.start('migrate', database.url, START_LOCK);
    await until(() => waitsForLock(database), { what: 'the migration waiting', timeoutMs: 20_000 });
    child.kill('SIGKILL');
    expect(await ended).toMatchObject({ code: null });
    // The backend goes on, and finds that nobody hears it any more.
    await obstacle.query('ROLLBACK');

    expect(await runMigrations(database)).toEqual([1]);
    expect(await recordedVersions(database)).toHaveLength(1);
  });
});
