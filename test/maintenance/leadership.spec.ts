import { randomUUID } from 'node:crypto';
import { schemaName } from '../../lib/storage/schema-name.js';
import { PgAdapter } from '../../lib/storage/adapters/pg.adapter.js';
import { UrlDatabase } from '../../lib/storage/connection/url.database.js';
import { currentLeader } from '../../lib/storage/operations/leadership.js';
import { WakeListener } from '../../lib/worker/wake-listener.js';
import { Client } from 'pg';
import { describe, expect, it } from 'vitest';
import { runMigrations } from '../../lib/migrate/run-migrations.js';
import { until } from '../support/signals.js';
import { useTestDatabase } from '../support/test-database.js';
import { useTestRoles } from '../support/test-roles.js';
import { type Candidate, PATIENT, QUICK, useCandidates } from './leader-fixture.js';

const database = useTestDatabase();
const candidate = useCandidates(database);
const role = useTestRoles(database);

async function leader(schema?: string): Promise<string | undefined> {
  const client = new Client({ connectionString: database.ownerUrl });
  await client.connect();
  try {
    return await currentLeader(new PgAdapter(client), schemaName(schema));
  } finally {
    await client.end();
  }
}

async function leads({ instanceId, leadership }: Candidate): Promise<void> {
  await until(async () => leadership.isLeading && (await leader()) === instanceId, {
    what: `${instanceId} leading`,
  });
}

/** Backends by the beginning of their name. */
async function backends(name: string): Promise<number[]> {
  const { rows } = await database.query<{ pid: number }>(
    'SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND starts_with(application_name, $1) ORDER BY pid',
    [name],
  );
  return rows.map(({ pid }) => pid);
}

describe('the leadership', () => {
  it('is one process’s; the others have one connection, and it has two', async () => {
    const first = candidate();
    await leads(first);
    const others = [candidate(), candidate()];
    await until(async () => (await backends('awa maintenance')).length === 2, { what: 'the others trying' });
    expect(await backends('awa leader')).toHaveLength(1);
    expect(others.map(({ leadership }) => leadership.isLeading)).toEqual([false, false]);
    expect(await leader()).toBe(first.instanceId);
  });

  it('goes to another one when the leader stops, at once: nobody waits for the next try', async () => {
    const first = candidate({ timing: PATIENT });
    await leads(first);
    const second = candidate({ timing: PATIENT });
    await until(async () => (await backends('awa maintenance')).length === 1, { what: 'its first try' });
    const place = new UrlDatabase(database.url, schemaName(), () => undefined);
    const heard: (string | undefined)[] = [];
    const listener = new WakeListener(place, place.pool, {
      onWake: (queue) => heard.push(queue),
      onCancel: () => undefined,
      onDueSoon: () => undefined,
      onLeaderGone: () => second.maintenance.takeOver(),
    });
    listener.start();
    await until(async () => listener.isWorking, { what: 'the listener' });

    await first.maintenance.stop();
    expect(first.leadership.isLeading).toBe(false);
    await leads(second);
    await listener.stop();
    await place.close();
  });

  it('is lost with its connection, at once', async () => {
    const first = candidate({ timing: { ...QUICK, retryMs: 60_000 } });
    await leads(first);
    const [pid] = await backends('awa leader');
    await database.query('SELECT pg_terminate_backend($1)', [pid]);
    await until(async () => !first.leadership.isLeading, { what: 'the loss', timeoutMs: 1_000 });
    expect(await leader()).toBeUndefined();
    const second = candidate();
    await leads(second);
    await expect(first.leadership.prompt.query({ name: 'x', text: 'SELECT 1' }, [])).rejects.toThrow(
      'does not lead',
    );
    await expect(first.leadership.patient.query({ name: 'x', text: 'SELECT 1' }, [])).rejects.toThrow(
      'does not lead',
    );
  });

  it('is lost by who says nothing: the server ends the session of a leader that stands still', async () => {
    // Its first word is its last.
    const silent = candidate({ timing: { leaseMs: 300, keepAliveMs: 600_000, retryMs: 600_000 } });
    await until(async () => silent.leadership.isLeading, { what: 'the leadership' });
    const next = candidate();
    await leads(next);
    expect(silent.leadership.isLeading).toBe(false);
  });

  it('goes by the name of the instance, at once when that is a new one', async () => {
    const first = candidate({ timing: { leaseMs: 600_000, keepAliveMs: 600_000, retryMs: 600_000 } });
    await leads(first);
    const reborn = randomUUID();
    Object.assign(first, { instanceId: reborn });
    await first.leadership.run();
    expect(await leader()).toBe(reborn);
  });

  it('needs no words of its own while tasks speak in its session', async () => {
    const first = candidate({ timing: { leaseMs: 600_000, keepAliveMs: 600_000, retryMs: 600_000 } });
    await leads(first);
    await first.leadership.prompt.query({ name: 'word', text: "SELECT 'a word'" }, []);
    await first.leadership.run();
    const { rows } = await database.query(
      "SELECT query FROM pg_stat_activity WHERE datname = current_database() AND starts_with(application_name, 'awa leader')",
    );
    expect(rows).toEqual([{ query: "SELECT 'a word'" }]);
  });

  it('is given up by a process whose heartbeats do not come through', async () => {
    const sick = candidate({ timing: { ...QUICK, leaseMs: 300 } });
    await leads(sick);
    sick.contactMs = 0;
    await until(async () => !sick.leadership.isLeading, { what: 'its resignation' });
    // Of which it hears as the others do.
    sick.leadership.expectVacancy();
    await sick.leadership.run();
    expect(sick.leadership.isLeading).toBe(false);
    const healthy = candidate();
    await leads(healthy);
    expect(sick.leadership.isLeading).toBe(false);
  });

  it('is another one in another schema', async () => {
    await runMigrations({ url: database.ownerUrl }, { schema: 'other' });
    await database.query(`SELECT other.grant_role($1, 'runtime')`, [new URL(database.url).username]);
    const here = candidate();
    const there = candidate({ schema: 'other' });
    await until(async () => here.leadership.isLeading && there.leadership.isLeading, {
      what: 'two leaders',
    });
    expect(await leader()).toBe(here.instanceId);
    expect(await leader('other')).toBe(there.instanceId);
  });

  it('holds up no migration, and is seen by a role that may only read', async () => {
    const first = candidate();
    await leads(first);
    const reader = new Client({ connectionString: (await role('reader')).url });
    await reader.connect();
    expect(await currentLeader(new PgAdapter(reader), schemaName())).toBe(first.instanceId);
    await reader.end();
    const migrating = await database.ownerClient();
    await migrating.query('BEGIN; SET LOCAL lock_timeout = 100');
    await migrating.query('SELECT pg_advisory_xact_lock($1)', [schemaName().lockKey]);
    await migrating.query('ROLLBACK');
  });
});
