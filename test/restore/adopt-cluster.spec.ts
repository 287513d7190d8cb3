import { randomBytes, randomUUID } from 'node:crypto';
import { Logger } from '@nestjs/common';
import { defineJob } from 'nestjs-awa';
import { Client } from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { adoptForeignCluster } from '../../lib/migrate/adopt-cluster.js';
import { PgAdapter } from '../../lib/storage/adapters/pg.adapter.js';
import { UrlDatabase } from '../../lib/storage/connection/url.database.js';
import { completeAttempts } from '../../lib/storage/operations/close-attempts.js';
import { countJobs } from '../../lib/storage/operations/count-jobs.js';
import { enqueueJobs } from '../../lib/storage/operations/enqueue-jobs.js';
import { foreignCluster } from '../../lib/storage/operations/foreign-cluster.js';
import { getJob } from '../../lib/storage/operations/get-job.js';
import { rescueAttempts } from '../../lib/storage/operations/instances.js';
import { promoteDeferred } from '../../lib/storage/operations/promote-deferred.js';
import { listRingSegments, pruneRing, rotateRing } from '../../lib/storage/operations/rings.js';
import { type PostgresServer, startPostgres } from '../postgres/server.js';
import { administer, createDatabase, dropDatabase, withDatabase } from '../support/database-admin.js';
import { deferred } from '../support/signals.js';
import { claimJobs, newJob, registerTestInstance, SCHEMA } from '../support/storage-fixture.js';
import { handlerOf, jobIn, useTestApps } from '../support/test-app.js';
import { useTestDatabase } from '../support/test-database.js';
import { enqueueUnique } from '../support/unique-fixture.js';
import { copyRows, dumpAndRestore, dumpTools } from './copy-schema.js';
import { fillSource, type SourceJobs } from './source.js';

const tools = await dumpTools();
const source = useTestDatabase();
const clients: Client[] = [];
let other: PostgresServer;
let jobs: SourceJobs;
let created: { readonly server: string; readonly name: string } | undefined;
/** The database that was restored. */
let url = '';
let port: PgAdapter;

beforeAll(async () => {
  Logger.overrideLogger(false);
  const binDir = process.env['TEST_POSTGRES_BIN'];
  other = await startPostgres({ temporary: true, settings: { fsync: 'off', autovacuum: 'off' }, binDir });
  await burnTo(inject('pgUrl'), (await nextXid(other.url)) + 20_000n);
  jobs = await fillSource(source);
});

afterAll(async () => {
  await other.stop('immediate');
});

afterEach(async () => {
  for (const client of clients.splice(0)) await client.end();
  if (created !== undefined) {
    const { server, name } = created;
    await administer(server, (admin) => dropDatabase(admin, name));
  }
});

async function nextXid(server: string): Promise<bigint> {
  const { rows } = await administer(server, (client) =>
    client.query<{ xid: string }>('SELECT pg_snapshot_xmax(pg_current_snapshot())::text AS xid'),
  );
  return BigInt(rows[0]!.xid);
}

/** Uses transaction ids up, until the next one is this. */
async function burnTo(server: string, xid: bigint): Promise<void> {
  await administer(server, (client) =>
    client.query(`DO $$ BEGIN WHILE pg_current_xact_id() < '${xid}'::xid8 LOOP COMMIT; END LOOP; END $$`),
  );
}

async function connect(): Promise<Client> {
  const client = new Client({ connectionString: url });
  clients.push(client);
  await client.connect();
  return client;
}

/** Restores the source into a new database of a server. */
async function restore(server: string, method = 'rows'): Promise<void> {
  created = { server, name: `restored_${randomBytes(6).toString('hex')}` };
  url = withDatabase(server, created.name);
  const { name } = created;
  await administer(server, (admin) => createDatabase(admin, name, 'template0'));
  if (method === 'rows') await copyRows(source.ownerUrl, url);
  else await dumpAndRestore(tools!, source.ownerUrl, url, method.includes('data'));
  port = new PgAdapter(await connect());
}

async function adopt(): Promise<void> {
  const database = new UrlDatabase(url, SCHEMA, () => undefined);
  try {
    await adoptForeignCluster(database);
  } finally {
    await database.close();
  }
}

const states = async (ids: readonly string[]) => {
  const found = new Set<string | undefined>();
  for (const id of ids) found.add((await getJob(port, SCHEMA, id))?.state);
  return [...found];
};

/** Runs what there is to run, and answers it in its order. */
async function work(instanceId: string): Promise<string[]> {
  const ran: string[] = [];
  for (;;) {
    await promoteDeferred(port, SCHEMA, 1000);
    const claimed = await claimJobs(
      port,
      SCHEMA,
      instanceId,
      jobs.queues.map((queue) => ({ queue, limit: 3 })),
    );
    if (claimed.length === 0) return ran;
    expect(await states(claimed.map(({ jobId }) => jobId))).toEqual(['running']);
    expect(await completeAttempts(port, SCHEMA, claimed)).toEqual([]);
    ran.push(...claimed.map(({ jobId }) => jobId));
  }
}

async function expectRestoredStates(): Promise<void> {
  expect(await states(jobs.waiting)).toEqual(['available']);
  expect(await states(jobs.running)).toEqual(['retryable']);
  expect(await states(jobs.lastAttempt)).toEqual(['failed']);
  expect(await states(jobs.retryable)).toEqual(['retryable']);
  expect(await states(jobs.scheduled)).toEqual(['scheduled']);
  expect(await states(jobs.completed)).toEqual(['completed']);
  expect(await states(jobs.failed)).toEqual(['failed']);
  expect(await states(jobs.cancelled)).toEqual(['cancelled']);
}

/** From the moment the schema can be used: everything that waits runs once, and nothing else does. */
async function expectToRunOnce(): Promise<void> {
  await expectRestoredStates();
  const instanceId = await registerTestInstance(port);
  const ran = await work(instanceId);
  expect(ran.toSorted()).toEqual([...jobs.waiting, ...jobs.running].toSorted());
  expect(await states(ran)).toEqual(['completed']);

  const [queue] = jobs.queues as [string];
  const fresh = await enqueueJobs(
    port,
    SCHEMA,
    Array.from({ length: 5 }, () => newJob(queue)),
  );
  expect(Math.min(...fresh.map(Number))).toBeGreaterThan(Math.max(...ran.map(Number)));
  expect(await work(instanceId)).toEqual(fresh);
  expect(await states(jobs.completed)).toEqual(['completed']);
  expect(await countJobs(port, SCHEMA, queue, 10_000)).toMatchObject({
    available: { count: 0 },
    running: { count: 0 },
    retryable: { count: 1 },
    scheduled: { count: 1 },
  });

  for (const ring of ['ready', 'claim', 'done'] as const) {
    const segment = (await listRingSegments(port, SCHEMA)).findLast((each) => each.ring === ring)!;
    expect(await rotateRing(port, SCHEMA, segment)).toBeUndefined();
    expect(await pruneRing(port, SCHEMA, segment)).toBeUndefined();
  }
  expect(await work(instanceId)).toEqual([]);
}

const methods = tools === undefined ? ['rows'] : ['rows', 'pg_dump', 'pg_dump --data-only'];

describe.each(methods.map((method) => ({ method })))('a schema restored by $method', ({ method }) => {
  it('into a cluster that is behind: is refused to claimers, adopted, and goes on', async () => {
    await restore(other.url, method);
    expect(await nextXid(other.url)).toBeLessThan(20_000n);
    const early = await registerTestInstance(port);
    await expect(
      claimJobs(port, SCHEMA, early, [{ queue: jobs.queues[0]!, limit: 1 }]),
    ).rejects.toMatchObject({ code: 'AW006' });
    expect(await foreignCluster(port, SCHEMA)).toBeDefined();
    await adopt();
    expect(await foreignCluster(port, SCHEMA)).toBeUndefined();
    await expectToRunOnce();
  });

  it('into the same cluster: is at home, and needs a rescue only', async () => {
    await restore(inject('pgUrl'), method);
    expect(await foreignCluster(port, SCHEMA)).toBeUndefined();
    await adopt();
    expect(await states(jobs.running)).toEqual(['running']);
    await port.query({ name: '', text: 'DELETE FROM awa.runtime_instances' }, []);
    expect(await rescueAttempts(port, SCHEMA, randomUUID(), 0, 100)).toBe(3);
    await expectToRunOnce();
  });
});

describe('adoption', () => {
  beforeEach(() => restore(other.url));

  it('is one of many who try at once', async () => {
    await Promise.all([adopt(), adopt(), adopt()]);
    const { rows } = await (await connect()).query('SELECT claim_seq FROM awa.lease_claims');
    expect(rows).toHaveLength(1);
    await expectToRunOnce();
  });

  it('keeps the order of the jobs within a lane, by their ids', async () => {
    await adopt();
    const [queue] = jobs.queues as [string];
    const claimed = await claimJobs(port, SCHEMA, await registerTestInstance(port), [{ queue, limit: 100 }]);
    const ids = claimed.map(({ jobId }) => Number(jobId));
    expect(ids).toEqual(ids.toSorted((a, b) => a - b));
  });

  it('keeps unique keys', async () => {
    await adopt();
    const unique = { key: jobs.uniqueKey, periodMs: undefined, heldAfter: [] };
    const [again] = await enqueueUnique(port, [{ ...newJob(jobs.queues[0]!), unique }]);
    expect(again).toMatchObject({ deduplicated: true });
    expect(jobs.waiting).toContain(again!.id);
  });

  it('does not lose what transactions enqueue that began before it', async () => {
    const early = await connect();
    await early.query('BEGIN');
    await early.query('SELECT pg_current_xact_id()');
    await burnTo(other.url, (await nextXid(other.url)) + 5n);
    await adopt();
    const [id] = await enqueueJobs(new PgAdapter(early), SCHEMA, [newJob(jobs.queues[0]!)]);
    const instanceId = await registerTestInstance(port);
    await work(instanceId);
    await early.query('COMMIT');
    expect(await work(instanceId)).toEqual([id]);
  });

  it('waits for a transaction that uses the tables', async () => {
    const early = await connect();
    await early.query('BEGIN');
    await early.query('LOCK TABLE awa.ready_entries IN ROW EXCLUSIVE MODE');
    const adopting = adopt();
    const watch = await connect();
    await expect
      .poll(
        async () =>
          (await watch.query("SELECT FROM pg_locks WHERE NOT granted AND mode = 'ExclusiveLock'")).rowCount,
      )
      .toBeGreaterThan(0);
    await early.query('COMMIT');
    await adopting;
    await expectToRunOnce();
  });

  it('sets the sequences, which logical replication leaves behind', async () => {
    const client = await connect();
    await client.query(
      "SELECT setval('awa.job_ids', 1, false), setval('awa.queue_lanes_lane_id_seq', 1, false)",
    );
    await adopt();
    const ids = await enqueueJobs(port, SCHEMA, [newJob(jobs.queues[0]!)]);
    expect(Number(ids[0])).toBeGreaterThan(Math.max(...jobs.waiting.map(Number)));
    await client.query('SELECT awa.register_queues($1)', [['one more']]);
  });

  it('is for a schema that says it has two homes, too', async () => {
    await adopt();
    await (await connect()).query('INSERT INTO awa.clusters (system_identifier) VALUES (1)');
    expect(await foreignCluster(port, SCHEMA)).toBeDefined();
    await adopt();
    expect(await foreignCluster(port, SCHEMA)).toBeUndefined();
    await expectToRunOnce();
  });

  it('is found necessary by ids that are ahead, where the identifier may not be read', async () => {
    const client = await connect();
    await client.query('REVOKE EXECUTE ON FUNCTION pg_control_system() FROM public');
    await client.query(`CREATE ROLE plain_${created!.name}; ALTER FUNCTION awa.system_identifier() SECURITY DEFINER;
      ALTER FUNCTION awa.system_identifier() OWNER TO plain_${created!.name}`);
    expect(await foreignCluster(port, SCHEMA)).toMatch('ahead');
    await adopt();
    expect(await foreignCluster(port, SCHEMA)).toBeUndefined();
    await expectToRunOnce();
  });

  it('may be done by a role that may only enqueue', async () => {
    const role = `user_${created!.name}`;
    const client = await connect();
    await client.query(`CREATE ROLE ${role}; SELECT awa.grant_role('${role}', 'producer'); SET ROLE ${role}`);
    expect(await foreignCluster(new PgAdapter(client), SCHEMA)).toBeDefined();
    expect((await client.query('SELECT waiting::int, attempts FROM awa.adopt_cluster()')).rows).toEqual([
      { waiting: jobs.waiting.length, attempts: jobs.running.length + jobs.lastAttempt.length },
    ]);
    await expectToRunOnce();
  });
});

describe('an application', () => {
  const apps = useTestApps({
    get url() {
      return url;
    },
  });
  const Test = defineJob('test');

  it('adopts what it finds when it starts, and so do not those that start with it', async () => {
    await restore(other.url);
    const ran: string[] = [];
    const last = deferred();
    const expected = [...jobs.waiting, ...jobs.running].toSorted();
    const handler = handlerOf(Test, (job) => {
      ran.push(job.id);
      if (ran.length === expected.length) last.resolve();
    });
    const queues = { default: {}, ...Object.fromEntries(jobs.queues.map((name) => [name, {}])) };
    const [{ queue }] = await Promise.all([
      apps.start({ queues, handlers: [handler] }),
      apps.start({ queues, handlers: [handler] }),
      apps.start({ queues, worker: false }),
    ]);
    await last.promise;
    for (const id of expected) await jobIn('completed', queue, id);
    expect(ran.toSorted()).toEqual(expected);
    expect(apps.logs.filter((line) => line.includes('adopted: '))).toHaveLength(1);
  });

  it('adopts what is restored under it, and runs it', async () => {
    await restore(other.url);
    const ran: string[] = [];
    const last = deferred();
    const expected = [...jobs.waiting, ...jobs.running].toSorted();
    const queues = { default: {}, ...Object.fromEntries(jobs.queues.map((name) => [name, {}])) };
    const handler = handlerOf(Test, (job) => {
      ran.push(job.id);
      if (ran.length % expected.length === 0) last.resolve();
    });
    const worker = { heartbeatIntervalMs: 100, heartbeatStaleMs: 5_000 };
    const { queue } = await apps.start({ queues, worker, handlers: [handler] });
    await last.promise;
    for (const id of expected) await jobIn('completed', queue, id);

    await copyRows(source.ownerUrl, url);
    for (const id of expected) await jobIn('completed', queue, id);
    expect(ran.slice(expected.length).toSorted()).toEqual(expected);
    expect(apps.logs.filter((line) => line.includes('adopted: '))).toHaveLength(2);
  });

  it('that works while its schema turns foreign registers anew, and loses nothing', async () => {
    await restore(inject('pgUrl'));
    const [name] = jobs.queues as [string];
    const handled = deferred();
    const { queue } = await apps.start({
      queues: { default: {}, [name]: {} },
      worker: { heartbeatIntervalMs: 100, heartbeatStaleMs: 5_000 },
      handlers: [handlerOf(Test, () => handled.resolve())],
    });
    await (await connect()).query('UPDATE awa.clusters SET system_identifier = 1');
    await adopt();
    const [id] = await enqueueJobs(port, SCHEMA, [newJob(name)]);
    await handled.promise;
    expect(await jobIn('completed', queue, id!)).toMatchObject({ attempt: 1 });
  });
});

describe('a cluster whose ids have come to those of the schema', () => {
  /** The transactions that wrote the first and the last of the completed jobs. */
  async function xidsOfCompleted(): Promise<[bigint, bigint]> {
    const { rows } = await source.query<{ first: string; last: string }>(
      `SELECT min(enqueue_xid::text::bigint) AS first, max(enqueue_xid::text::bigint) AS last
       FROM awa.ready_entries WHERE job_id = ANY ($1)`,
      [jobs.completed],
    );
    return [BigInt(rows[0]!.first), BigInt(rows[0]!.last)];
  }

  it('does not take completed jobs for its own', async () => {
    await restore(other.url);
    const [first] = await xidsOfCompleted();
    await burnTo(other.url, first - 1n);
    expect(await nextXid(other.url)).toBe(first);
    await adopt();
    await expectToRunOnce();
  });

  it('does not take them for those of a transaction that is open', async () => {
    await restore(other.url);
    const [, last] = await xidsOfCompleted();
    await burnTo(other.url, last - 1n);
    const early = await connect();
    await early.query('BEGIN');
    expect((await early.query('SELECT pg_current_xact_id()::text AS xid')).rows).toEqual([
      { xid: String(last) },
    ]);
    await adopt();
    const [id] = await enqueueJobs(new PgAdapter(early), SCHEMA, [newJob(jobs.queues[0]!)]);
    await early.query('COMMIT');
    const instanceId = await registerTestInstance(port);
    expect(new Set(await work(instanceId))).toEqual(new Set([...jobs.waiting, ...jobs.running, id]));
    expect(await states(jobs.completed)).toEqual(['completed']);
  });
});

describe('a cluster that is ahead', () => {
  it('adopts as well, and a job enqueued by an old transaction is not lost', async () => {
    await restore(other.url);
    const old = await connect();
    await old.query('BEGIN');
    await old.query('SELECT pg_current_xact_id()');
    await burnTo(other.url, (await nextXid(inject('pgUrl'))) + 100n);
    expect(await foreignCluster(port, SCHEMA)).toMatch('another cluster');
    await adopt();
    const [id] = await enqueueJobs(new PgAdapter(old), SCHEMA, [newJob(jobs.queues[0]!)]);
    await old.query('COMMIT');
    expect(await states([id!])).toEqual(['available']);
    const instanceId = await registerTestInstance(port);
    const [job] = await claimJobs(port, SCHEMA, instanceId, [{ queue: jobs.queues[0]!, limit: 1 }]);
    expect(job?.jobId).toBe(id);
    await completeAttempts(port, SCHEMA, [job!]);
    await expectToRunOnce();
  });
});
