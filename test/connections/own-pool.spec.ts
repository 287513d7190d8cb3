import { AccessDeniedError, defineJob } from 'nestjs-awa';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { UrlDatabase } from '../../lib/storage/connection/url.database.js';
import { enqueueJobs } from '../../lib/storage/operations/enqueue-jobs.js';
import { listJobs } from '../../lib/storage/operations/list-jobs.js';
import { registerQueues } from '../../lib/storage/operations/queues.js';
import { schemaName } from '../../lib/storage/schema-name.js';
import type { SqlPort } from '../../lib/storage/sql-port.js';
import { FaultProxy } from '../support/fault-proxy.js';
import { deferred, until } from '../support/signals.js';
import { newJob } from '../support/storage-fixture.js';
import { failOnUnhandled, useTestApps } from '../support/test-app.js';
import { useTestDatabase } from '../support/test-database.js';
import { useTestRoles } from '../support/test-roles.js';

const SCHEMA = schemaName();

const database = useTestDatabase();
const apps = useTestApps(database);
const role = useTestRoles(database);
const places: UrlDatabase[] = [];

failOnUnhandled();

afterEach(async () => {
  for (const place of places.splice(0)) await place.close();
});

/** A pool as a module with a `url` has it. Calls one after the other share a connection. */
function openPool(url = database.url): SqlPort {
  const place = new UrlDatabase(url, SCHEMA, () => undefined);
  places.push(place);
  return place.pool;
}

/** A statement for which nobody needs a grant. */
async function ask<Row>(pool: SqlPort, name: string, text: string): Promise<Row[]> {
  return pool.query<Row>({ name, text }, []);
}

async function processId(pool: SqlPort): Promise<number> {
  const [row] = await ask<{ pid: number }>(pool, 'process_id', 'SELECT pg_backend_pid() AS pid');
  return row!.pid;
}

/** How often the session of the next call has run its prepared enqueue; undefined: it has none. */
async function preparedEnqueues(pool: SqlPort): Promise<number | undefined> {
  const [row] = await ask<{ runs: number }>(
    pool,
    'prepared',
    `SELECT (generic_plans + custom_plans)::int AS runs FROM pg_prepared_statements WHERE name LIKE '%\\_enqueue\\_jobs'`,
  );
  return row?.runs;
}

describe('a pool of our own', () => {
  beforeAll(async () => {
    // A sequence counts what is rolled back as well.
    await database.query(`
      CREATE SEQUENCE public.tries;
      GRANT USAGE ON SEQUENCE public.tries TO PUBLIC;
      CREATE FUNCTION public.refuse(state text) RETURNS int LANGUAGE plpgsql AS $$
      BEGIN
        PERFORM nextval('public.tries');
        RAISE EXCEPTION 'no' USING ERRCODE = state;
      END $$`);
    await registerQueues(openPool(), SCHEMA, ['counted', 'DISCARD ALL', 'DEALLOCATE ALL']);
  });

  it('is what enqueues of a module with a url go through, by a prepared statement', async () => {
    const Work = defineJob<number, 'work'>('work');
    const proxy = await FaultProxy.open(database.url);
    const app = await apps.start({ url: proxy.url, directUrl: database.url, worker: false });
    let isNamed = false;
    void proxy.sent('_enqueue_jobs').then(() => (isNamed = true));
    await app.queue.enqueue(Work, 1);
    expect(isNamed).toBe(true);
    await app.close();
    await proxy.close();
  });

  it('prepares a statement once in a session', async () => {
    const pool = openPool();
    for (let n = 0; n < 3; n++) await enqueueJobs(pool, SCHEMA, [newJob('counted')]);
    expect(await preparedEnqueues(pool)).toBe(3);
  });

  it.each(['DISCARD ALL', 'DEALLOCATE ALL'])(
    'loses and repeats nothing after %s, and takes a new session',
    async (command) => {
      const pool = openPool();
      const queue = command;
      await enqueueJobs(pool, SCHEMA, [newJob(queue)]);
      const before = await processId(pool);
      await ask(pool, 'forget', command);

      const ids = await enqueueJobs(pool, SCHEMA, [newJob(queue), newJob(queue)]);
      expect(ids).toHaveLength(2);
      const { items } = await listJobs(openPool(), SCHEMA, { queue }, { after: undefined, limit: 10 });
      expect(items).toHaveLength(3);
      expect(await processId(pool)).not.toBe(before);
      await enqueueJobs(pool, SCHEMA, [newJob(queue)]);
      expect(await preparedEnqueues(pool)).toBe(1);
    },
  );

  it('goes on when a migration changes what a function returns, on all connections', async () => {
    await database.query('CREATE FUNCTION public.answer() RETURNS int LANGUAGE sql RETURN 42');
    const pool = openPool();
    // Both connections, since the first call has not ended when the second one comes.
    const both = () =>
      Promise.all(
        [1, 2].map(async () => ask(pool, 'answer', 'SELECT public.answer(), pg_sleep(0.05)::text')),
      );
    for (const rows of await both()) expect(rows).toMatchObject([{ answer: 42 }]);
    await database.query(`DROP FUNCTION public.answer();
      CREATE FUNCTION public.answer() RETURNS text LANGUAGE sql RETURN 'forty-two'`);
    for (const rows of await both()) expect(rows).toMatchObject([{ answer: 'forty-two' }]);
  });

  it.each([
    ['0A000', 2],
    ['22012', 1],
  ])('passes an error %s of a function on, after %i attempts', async (state, attempts) => {
    const pool = openPool();
    await database.query('ALTER SEQUENCE public.tries RESTART');
    await expect(ask(pool, `refuse_${state}`, `SELECT public.refuse('${state}')`)).rejects.toMatchObject({
      code: state,
      message: 'no',
    });
    const { rows } = await database.query('SELECT last_value::int AS tries FROM public.tries');
    expect(rows).toEqual([{ tries: attempts }]);
  });

  it('says which grant is missing', async () => {
    const { url } = await role();
    await expect(enqueueJobs(openPool(url), SCHEMA, [newJob('counted')])).rejects.toThrow(AccessDeniedError);
  });
});

describe('a connection of the pool is replaced', () => {
  it('when its session is ended during a statement', async () => {
    const pool = openPool();
    const before = await processId(pool);
    const failure = ask(pool, 'sleep', 'SELECT pg_sleep(60)::text').catch((error: unknown) => error);
    await until(
      async () => {
        const { rows } = await database.query(
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1 AND query LIKE '%pg_sleep%'`,
          [before],
        );
        return rows.length > 0;
      },
      { what: 'the statement being under way' },
    );
    expect(await failure).toMatchObject({ code: '57P01' });
    expect(await processId(pool)).not.toBe(before);
  });

  it('when the network cuts it during a statement', async () => {
    const proxy = await FaultProxy.open(database.url);
    const pool = openPool(proxy.url);
    const sent = proxy.sent('sleep');
    const failure = ask(pool, 'sleep', 'SELECT pg_sleep(0.5)::text').catch((error: unknown) => error);
    await sent;
    proxy.cut();
    expect(String(await failure)).toMatch(/terminated|ECONNRESET/);
    expect(await processId(pool)).toBeGreaterThan(0);
    await places.pop()?.close();
    await proxy.close();
  });

  it('when it does not answer in time', async () => {
    const url = new URL(database.url);
    url.searchParams.set('query_timeout', '1500');
    const pool = openPool(url.toString());
    const before = await processId(pool);
    await expect(ask(pool, 'sleep', 'SELECT pg_sleep(4)::text')).rejects.toThrow('Query read timeout');
    expect(await processId(pool)).not.toBe(before);
  });

  it('when it ends while it is idle, which the module hears', async () => {
    const heard = deferred<Error>();
    const place = new UrlDatabase(database.url, SCHEMA, heard.resolve);
    places.push(place);
    const before = await processId(place.pool);
    await database.query('SELECT pg_terminate_backend($1)', [before]);
    expect(await heard.promise).toMatchObject({ code: '57P01' });
    expect(await processId(place.pool)).not.toBe(before);
  });
});
