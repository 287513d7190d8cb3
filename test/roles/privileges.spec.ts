import { Client } from 'pg';
import { afterEach, describe, expect, it } from 'vitest';
import {
  createdFunctions,
  OWNER_FUNCTIONS,
  PRODUCER_FUNCTIONS,
  READER_FUNCTIONS,
  TABLE_RULES,
} from '../../migrations/0001-create-awa/access-rules.js';
import { grantAgain } from '../../migrations/0001-create-awa/functions/roles.js';
import { createAwa } from '../../migrations/0001-create-awa/index.js';
import { runMigrations } from '../../lib/migrate/run-migrations.js';
import { PgAdapter } from '../../lib/storage/adapters/pg.adapter.js';
import { JOB_STATES } from '../../lib/storage/job-state.js';
import { countDeadLetters, countJobs, oldestWaiting } from '../../lib/storage/operations/count-jobs.js';
import { listDeadLetters } from '../../lib/storage/operations/dead-letters.js';
import { listJobs } from '../../lib/storage/operations/list-jobs.js';
import { enqueueJobs } from '../../lib/storage/operations/enqueue-jobs.js';
import { getJob } from '../../lib/storage/operations/get-job.js';
import { schemaName } from '../../lib/storage/schema-name.js';
import { newJob, openPort, registerTestQueue, SCHEMA } from '../support/storage-fixture.js';
import { useTestDatabase } from '../support/test-database.js';
import { useTestRoles } from '../support/test-roles.js';

const database = useTestDatabase();
const makeRole = useTestRoles(database);
const clients: Client[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) await client.end();
});

async function connect(url: string): Promise<Client> {
  const client = new Client({ connectionString: url });
  await client.connect();
  clients.push(client);
  return client;
}

const DENIED = { code: '42501' };

/** What a role may do with the tables, its own and everybody's: `ready_entries: SELECT, INSERT`; of a column as `UPDATE (name)`. */
async function privileges(role: string): Promise<string[]> {
  const { rows } = await database.query<{ entry: string }>(
    `SELECT c.relname || ': ' || a.privilege_type AS entry
     FROM pg_class c CROSS JOIN aclexplode(c.relacl) a
     WHERE c.relnamespace = 'awa'::regnamespace AND a.grantee IN (0, $1::regrole)
     UNION ALL
     SELECT c.relname || ': ' || a.privilege_type || ' (' || t.attname || ')'
     FROM pg_attribute t JOIN pg_class c ON c.oid = t.attrelid CROSS JOIN aclexplode(t.attacl) a
     WHERE c.relnamespace = 'awa'::regnamespace AND a.grantee IN (0, $1::regrole)
     UNION ALL
     SELECT p.proname || '()' FROM pg_proc p
     WHERE p.pronamespace = 'awa'::regnamespace AND has_function_privilege($1, p.oid, 'EXECUTE')
     UNION ALL
     SELECT 'schema' WHERE has_schema_privilege($1, 'awa', 'USAGE')
     ORDER BY 1`,
    [role],
  );
  return rows.map(({ entry }) => entry);
}

describe('the rules', () => {
  const statements = createAwa.up(SCHEMA);

  it('say of every table who may do what with it', () => {
    const tables = statements
      .map((statement) => /^CREATE TABLE "awa"\.(\w+) (?!PARTITION)/.exec(statement)?.[1])
      .filter((name) => name !== undefined);
    expect(Object.keys(TABLE_RULES).toSorted()).toEqual([...tables, 'schema_versions'].toSorted());
  });

  it('name functions that there are', () => {
    const functions = createdFunctions('"awa"', statements);
    for (const name of [...OWNER_FUNCTIONS, ...PRODUCER_FUNCTIONS, ...READER_FUNCTIONS])
      expect(functions).toContain(name);
  });
});

describe('a role that was granted nothing', () => {
  it('may do nothing, not even call a function', async () => {
    const nobody = await makeRole();
    expect(await privileges(nobody.name)).toEqual([]);
    const client = await connect(nobody.url);
    await expect(client.query("SELECT awa.insert_job('x')")).rejects.toMatchObject(DENIED);
  });
});

describe('runtime', () => {
  it('may append to what is appended to, and nothing else', async () => {
    const { name } = await makeRole('runtime');
    const all = await privileges(name);
    const onlyAppended = [
      'ready_entries',
      'ready_tombstones',
      'completion_batches',
      'done_entries',
      'queue_lanes',
    ];
    for (const table of [...onlyAppended, 'lease_claim_closures']) {
      expect(all.filter((entry) => entry.startsWith(`${table}:`))).toEqual([
        `${table}: INSERT`,
        `${table}: SELECT`,
      ]);
    }
    expect(all.filter((entry) => entry.startsWith('lease_claims:'))).toEqual([
      'lease_claims: INSERT',
      'lease_claims: SELECT',
      'lease_claims: UPDATE (claimed_at)',
    ]);
    expect(all.filter((entry) => /TRUNCATE|TRIGGER|REFERENCES|_\d+:/.test(entry))).toEqual([]);
  });

  it.each([
    'CREATE TABLE awa.mine (n int)',
    'ALTER TABLE awa.queues ADD COLUMN mine int',
    'DROP TABLE awa.queues CASCADE',
    'TRUNCATE awa.ready_entries',
    'DELETE FROM awa.ready_entries',
    'DO $$ BEGIN LOCK TABLE awa.ready_entries_0 IN ACCESS EXCLUSIVE MODE; END $$',
    "SELECT awa.grant_role('postgres', 'runtime')",
    "INSERT INTO awa.schema_versions (version, name) VALUES (2, 'x')",
  ])('is refused: %s', async (statement) => {
    const client = await database.client();
    await expect(client.query(statement)).rejects.toMatchObject(DENIED);
  });

  it('is what the applications of the tests have, who own nothing', async () => {
    const client = await database.client();
    const { rows } = await client.query<{ owned: number; superuser: boolean }>(
      `SELECT r.rolsuper AS superuser,
         (SELECT count(*)::int FROM pg_shdepend d WHERE d.refobjid = r.oid AND d.deptype = 'o') AS owned
       FROM pg_roles r WHERE r.rolname = current_user`,
    );
    expect(rows).toEqual([{ owned: 0, superuser: false }]);
  });
});

describe('producer', () => {
  it('may enqueue, and see the version and the names of the queues', async () => {
    const { name } = await makeRole('producer');
    expect(await privileges(name)).toEqual([
      'adopt_cluster()',
      'enqueue_jobs()',
      'enqueue_unique_jobs()',
      'foreign_cluster()',
      'insert_job()',
      'queues: SELECT (name)',
      'schema',
      'schema_versions: SELECT',
    ]);
  });

  it('enqueues into tables that it can neither read nor write', async () => {
    const { url } = await makeRole('producer');
    const queue = await registerTestQueue(await openPort(database));
    const client = await connect(url);
    const ids = await enqueueJobs(new PgAdapter(client), SCHEMA, [
      newJob(queue),
      newJob(queue, { delayMs: 60_000 }),
    ]);
    const port = await openPort(database);
    expect((await getJob(port, SCHEMA, ids[0]!))?.state).toBe('available');
    expect((await getJob(port, SCHEMA, ids[1]!))?.state).toBe('scheduled');
    for (const statement of [
      'SELECT FROM awa.ready_entries',
      'SELECT FROM awa.deferred_jobs',
      'SELECT paused_at FROM awa.queues',
      'INSERT INTO awa.ready_entries SELECT * FROM awa.ready_entries',
      "SELECT nextval('awa.job_ids')",
      'SELECT awa.get_job(1)',
      "SELECT awa.register_queues('{x}')",
      "SELECT awa.enqueue_keyed_jobs('{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}')",
    ]) {
      await expect(client.query(statement)).rejects.toMatchObject(DENIED);
    }
  });

  it('cannot get between a function and what it names', async () => {
    const { name, url } = await makeRole('producer');
    await database.query(`CREATE SCHEMA traps AUTHORIZATION ${name}`);
    const queue = await registerTestQueue(await openPort(database));
    const client = await connect(url);
    await client.query(`CREATE FUNCTION traps.clock_timestamp() RETURNS timestamptz LANGUAGE plpgsql AS $$
      BEGIN RAISE 'called as %', current_user; END $$`);
    await client.query('CREATE TEMP TABLE unnest (n int)');
    await client.query('SET search_path = traps, pg_catalog, awa');
    const { rows } = await client.query<{ deduplicated: boolean }>(
      "SELECT deduplicated FROM awa.insert_job('x', p_queue => $1, p_unique_key => 'k', p_tags => '{a}')",
      [queue],
    );
    expect(rows).toEqual([{ deduplicated: false }]);
  });
});

it('functions that act as the owner find only what they name, whoever calls', async () => {
  const { rows } = await database.query<{ name: string; config: string[] }>(
    "SELECT proname::text AS name, proconfig AS config FROM pg_proc WHERE pronamespace = 'awa'::regnamespace AND prosecdef ORDER BY 1",
  );
  expect(rows.map(({ name }) => name)).toEqual([
    'adopt_cluster',
    'count_jobs',
    'dead_letter_depth',
    'enqueue_jobs',
    'enqueue_keyed_jobs',
    'enqueue_unique_jobs',
    'foreign_cluster',
    'insert_job',
    'move_failed_to_dlq',
    'prune_ring',
  ]);
  for (const { config } of rows) expect(config).toContain('search_path=pg_catalog, pg_temp');
});

describe('reader', () => {
  it('reads everything and writes nothing', async () => {
    const { name, url } = await makeRole('reader');
    const port = await openPort(database);
    const queue = await registerTestQueue(port);
    const [id] = await enqueueJobs(port, SCHEMA, [newJob(queue)]);
    const client = await connect(url);
    expect((await getJob(new PgAdapter(client), SCHEMA, id!))?.state).toBe('available');
    const reader = new PgAdapter(client);
    // Beyond the cap, where it takes samples.
    await enqueueJobs(port, SCHEMA, [newJob(queue), newJob(queue)]);
    expect((await countJobs(reader, SCHEMA, queue, 1)).available.exact).toBe(false);
    for (const state of JOB_STATES) {
      const page = await listJobs(reader, SCHEMA, { queue, state }, { after: undefined, limit: 10 });
      expect(page.items).toHaveLength(state === 'available' ? 3 : 0);
    }
    expect((await listJobs(reader, SCHEMA, { queue }, { after: undefined, limit: 10 })).items).toHaveLength(
      3,
    );
    expect(await listDeadLetters(reader, SCHEMA, { queue }, { after: undefined, limit: 10 })).toMatchObject({
      items: [],
    });
    expect((await countDeadLetters(reader, SCHEMA, 10))[queue]).toEqual({ count: 0, exact: true });
    expect(await oldestWaiting(reader, SCHEMA, queue)).toBeGreaterThan(0);
    expect((await client.query("SELECT FROM awa.ring_segments('ready')")).rowCount).toBe(1);
    const all = await privileges(name);
    expect(all.filter((entry) => entry.includes(': ') && !entry.endsWith(': SELECT'))).toEqual([]);
    await expect(client.query("SELECT awa.insert_job('x')")).rejects.toMatchObject(DENIED);
  });
});

describe('granting', () => {
  it('may be repeated, and adds up; revoking takes one access, or all', async () => {
    const { name } = await makeRole('producer');
    const asProducer = await privileges(name);
    await database.query("SELECT awa.grant_role($1, 'producer'), awa.grant_role($1, 'reader')", [name]);
    expect((await privileges(name)).length).toBeGreaterThan(asProducer.length);
    await database.query("SELECT awa.revoke_role($1, 'reader')", [name]);
    expect(await privileges(name)).toEqual(asProducer);
    await database.query('SELECT awa.revoke_role($1)', [name]);
    expect(await privileges(name)).toEqual([]);
    expect((await database.query('SELECT FROM awa.role_grants WHERE role_name = $1', [name])).rowCount).toBe(
      0,
    );
  });

  it('refuses a role that there is not, and an access that there is not, and writes nothing', async () => {
    const { name } = await makeRole();
    await expect(database.query("SELECT awa.grant_role('nobody at all', 'reader')")).rejects.toThrow(
      'role "nobody at all" does not exist',
    );
    await expect(database.query("SELECT awa.grant_role($1, 'admin')", [name])).rejects.toThrow(
      "access must be runtime, producer or reader, not 'admin'",
    );
    expect((await database.query('SELECT FROM awa.role_grants WHERE role_name = $1', [name])).rowCount).toBe(
      0,
    );
  });

  it('holds for what a later version adds, but not for roles that are gone, or were shut out by hand', async () => {
    const [kept, shutOut, gone] = [
      await makeRole('reader'),
      await makeRole('reader'),
      await makeRole('reader'),
    ];
    await database.query(`DROP OWNED BY ${shutOut.name}; DROP OWNED BY ${gone.name}; DROP ROLE ${gone.name}`);
    await database.query('CREATE TABLE awa.later (n int)');
    const old = await database.query<{ sql: string }>(
      "SELECT pg_get_functiondef('awa.access_grants'::regproc) AS sql",
    );
    await database.query(`CREATE OR REPLACE FUNCTION awa.access_grants() RETURNS TABLE (access text, privileges text, object text)
      LANGUAGE sql IMMUTABLE AS $$ VALUES ('reader', 'SELECT', 'TABLE awa.later') $$`);

    await database.query(grantAgain('awa'));

    expect(await privileges(kept.name)).toContain('later: SELECT');
    expect(await privileges(shutOut.name)).toEqual([]);
    await database.query(old.rows[0]!.sql);
    await database.query('DROP TABLE awa.later');
    await database.query(`CREATE ROLE ${gone.name}`);
  });
});

it('goes with the schema, also where the schema itself stays', async () => {
  const { name } = await makeRole();
  await database.query('CREATE SCHEMA fourth');
  await runMigrations({ url: database.ownerUrl }, { schema: 'fourth' });
  await database.query("SELECT fourth.grant_role($1, 'runtime'), fourth.grant_role($1, 'reader')", [name]);
  const may = async () =>
    (await database.query("SELECT has_schema_privilege($1, 'fourth', 'USAGE') AS may", [name])).rows;
  expect(await may()).toEqual([{ may: true }]);
  for (const statement of createAwa.down(schemaName('fourth'))) await database.query(statement);
  expect(await may()).toEqual([{ may: false }]);
  await database.query('DROP SCHEMA fourth CASCADE');
});

describe('a migrator that owns nothing itself', () => {
  it('migrates as the owner, who alone grants', async () => {
    const owner = await makeRole();
    const migrator = await makeRole(undefined, `NOINHERIT IN ROLE ${owner.name}`);
    await database.query(`CREATE SCHEMA other AUTHORIZATION ${owner.name}`);
    await expect(runMigrations({ url: migrator.url }, { schema: 'other' })).rejects.toMatchObject(DENIED);
    await database.query(`ALTER ROLE ${migrator.name} SET role = ${owner.name}`);

    expect(await runMigrations({ url: migrator.url }, { schema: 'other' })).toEqual([1]);

    const { rows } = await database.query(
      "SELECT DISTINCT relowner::regrole::text AS owner FROM pg_class WHERE relnamespace = 'other'::regnamespace",
    );
    expect(rows).toEqual([{ owner: owner.name }]);
    const worker = await makeRole();
    const session = await connect(migrator.url);
    await session.query("SELECT other.grant_role($1, 'runtime')", [worker.name]);
    const { rows: queues } = await (
      await connect(worker.url)
    ).query("SELECT other.register_queues('{a}'), (SELECT count(*)::int FROM other.queues) AS before");
    expect(queues).toEqual([expect.objectContaining({ before: 0 })]);
    await session.query('DROP SCHEMA other CASCADE');
  });

  it('in a schema of somebody else cannot grant without being told so', async () => {
    const migrator = await makeRole();
    const worker = await makeRole();
    await database.query(`CREATE SCHEMA third; GRANT USAGE, CREATE ON SCHEMA third TO ${migrator.name}`);
    await runMigrations({ url: migrator.url }, { schema: 'third' });
    const session = await connect(migrator.url);
    const grant = () => session.query("SELECT third.grant_role($1, 'reader')", [worker.name]);
    await expect(grant()).rejects.toThrow('its owner has to GRANT USAGE ON SCHEMA');
    await database.query(`GRANT USAGE ON SCHEMA third TO ${worker.name}`);
    await expect(grant()).resolves.toBeDefined();
    await database.query('DROP SCHEMA third CASCADE');
  });
});
