import { defineJob, fail } from 'nestjs-awa';
import { describe, expect, it } from 'vitest';
import { schemaName } from '../../lib/storage/schema-name.js';
import { ManagedClient } from '../../lib/storage/connection/managed-client.js';
import { PipelinedPort } from '../../lib/storage/connection/pipelined-port.js';
import { UrlDatabase } from '../../lib/storage/connection/url.database.js';
import type { SqlPort } from '../../lib/storage/sql-port.js';
import { WakeListener } from '../../lib/worker/wake-listener.js';
import { FaultProxy } from '../support/fault-proxy.js';
import { until } from '../support/signals.js';
import { handlerOf, jobIn, useTestApps } from '../support/test-app.js';
import { useTestDatabase } from '../support/test-database.js';
import { useTestRoles } from '../support/test-roles.js';

const Work = defineJob<number, 'work'>('work', { retry: { baseMs: 0 } });

const database = useTestDatabase();
const apps = useTestApps(database);
const role = useTestRoles(database);

/** Application names of all sessions of a role, sorted. */
async function sessions(url: string): Promise<string[]> {
  const { rows } = await database.query<{ name: string }>(
    'SELECT application_name AS name FROM pg_stat_activity WHERE datname = current_database() AND usename = $1 ORDER BY 1',
    [new URL(url).username],
  );
  return rows.map(({ name }) => name.replace(/[0-9a-f-]{36}/, 'ID'));
}

function named(url: string, parameters: Readonly<Record<string, string>>): string {
  const changed = new URL(url);
  for (const [name, value] of Object.entries(parameters)) changed.searchParams.set(name, value);
  return changed.toString();
}

describe('the connections of a worker', () => {
  it('are five and a pool at most, with our names, whatever the connection string says', async () => {
    const { url } = await role('runtime');
    const { queue } = await apps.start({
      url: named(url, { application_name: 'mine' }),
      handlers: [handlerOf(Work, () => undefined)],
    });
    const expected = [
      'awa heartbeat',
      'awa housekeeping',
      'awa leader ID',
      'awa listener',
      'awa worker',
      'mine',
    ];
    await until(
      async () => {
        const names = await sessions(url);
        return expected.every((name) => names.includes(name));
      },
      { what: `sessions named ${expected.join()}` },
    );
    const { id } = await queue.enqueue(Work, 1);
    await jobIn('completed', queue, id);
    await Promise.all(Array.from({ length: 20 }, async () => queue.getJob(id)));
    const busy = await sessions(url);
    expect(busy.filter((name) => name !== 'mine').length).toBeLessThanOrEqual(5);
    expect(busy.filter((name) => name === 'mine').length).toBeLessThanOrEqual(2);

    await apps.start({ url, handlers: [handlerOf(Work, () => undefined)] });
    await until(async () => (await sessions(url)).includes('awa maintenance'), { what: 'a follower' });
    const both = await sessions(url);
    expect(both.filter((name) => name === 'awa housekeeping')).toHaveLength(1);
  });

  /** A role whose requests are to be short, and to change nothing. */
  async function hostileRole(): Promise<string> {
    const { name, url } = await role('runtime');
    // An idle time that a busy machine does not need between a log-in and the first statement, and that a test does.
    await database.query(`
      ALTER ROLE ${name} SET statement_timeout = '5s';
      ALTER ROLE ${name} SET lock_timeout = '4s';
      ALTER ROLE ${name} SET idle_in_transaction_session_timeout = '1ms';
      ALTER ROLE ${name} SET idle_session_timeout = '1s';
      ALTER ROLE ${name} SET default_transaction_isolation = 'serializable';
      ALTER ROLE ${name} SET default_transaction_read_only = on`);
    return url;
  }

  it('have settings of their own instead of the role’s; the pool has the time-outs of the role', async () => {
    const settings = (port: SqlPort) =>
      port.query(
        {
          name: 'settings',
          text: `SELECT array_agg(setting ORDER BY name) AS settings FROM pg_settings WHERE name IN ('statement_timeout', 'lock_timeout',
            'idle_in_transaction_session_timeout', 'idle_session_timeout', 'default_transaction_isolation', 'default_transaction_read_only')`,
        },
        [],
      );
    const url = await hostileRole();
    const place = new UrlDatabase(url, schemaName(), () => undefined);
    const client = new ManagedClient({ config: place.clientConfig, applicationName: 'awa test' });
    expect(await settings(new PipelinedPort(client, 10_000))).toEqual([
      { settings: ['read committed', 'off', '0', '0', '0', '0'] },
    ]);
    expect(await settings(place.pool)).toEqual([
      { settings: ['read committed', 'off', '1', '0', '4000', '5000'] },
    ]);
    await client.close();
    await place.close();
  });

  it('do their work for a role that is set so', async () => {
    const url = await hostileRole();
    const { queue } = await apps.start({
      url,
      handlers: [
        handlerOf(Work, ({ args, attempt }) => {
          if (args === 2 && attempt === 1) throw new Error('once more');
          return args === 3 ? fail('no') : undefined;
        }),
      ],
    });
    const [done, retried, failed] = await queue.enqueueMany(Work, [1, 2, 3]);
    const later = await queue.enqueue(Work, 4, { delay: 100 });
    const never = await queue.enqueue(Work, 5, { delay: 3_600_000 });
    await jobIn('completed', queue, done!.id);
    expect(await jobIn('completed', queue, retried!.id)).toMatchObject({ attempt: 2 });
    await jobIn('failed', queue, failed!.id);
    await jobIn('completed', queue, later.id);
    await queue.cancelJob(never.id);
    expect(await queue.getJob(never.id)).toMatchObject({ state: 'cancelled' });
    expect(apps.logs.filter((line) => line.startsWith('WARN') && !line.includes('once more'))).toEqual([]);
  });

  it('are still there when a query of theirs takes longer than the connection string allows', async () => {
    const url = named(database.url, { statement_timeout: '1', query_timeout: '1', lock_timeout: '1' });
    const { queue } = await apps.start({
      url: database.url,
      directUrl: url,
      handlers: [handlerOf(Work, () => undefined)],
    });
    const jobs = await queue.enqueueMany(
      Work,
      Array.from({ length: 500 }, (_, n) => n),
    );
    for (const { id } of jobs) await jobIn('completed', queue, id);
    expect(apps.logs.filter((line) => line.startsWith('WARN'))).toEqual([]);
  });
});

describe('the listener', () => {
  /** Sends notifications, or only says so. */
  function switchable(port: SqlPort): SqlPort & { broken: boolean } {
    return {
      broken: false,
      async query(statement, parameters) {
        return this.broken ? [] : port.query(statement, parameters);
      },
    };
  }

  it('notices that notifications do not come, says so once, and notices when they do again', async () => {
    const place = new UrlDatabase(database.url, schemaName(), () => undefined);
    const sender = switchable(place.pool);
    let wakes = 0;
    const listener = new WakeListener(
      place,
      sender,
      {
        onWake: () => (wakes += 1),
        onCancel: () => undefined,
        onDueSoon: () => undefined,
        onLeaderGone: () => undefined,
      },
      { testMs: 10, retestMs: 10, timeoutMs: 200, answerMs: 10_000 },
    );
    expect(listener.isWorking).toBe(false);
    listener.start();
    await until(async () => listener.isWorking, { what: 'the first test' });
    sender.broken = true;
    await until(async () => !listener.isWorking, { what: 'a test that fails' });
    const before = wakes;
    sender.broken = false;
    await until(async () => listener.isWorking, { what: 'a test that works again' });
    // Whatever has been missed.
    expect(wakes).toBeGreaterThan(before);
    await listener.stop();
    await place.close();
  });

  it('notices that its connection is dead without a word, and makes another one', async () => {
    const place = new UrlDatabase(database.url, schemaName(), () => undefined);
    const proxy = await FaultProxy.open(database.url);
    const far = new UrlDatabase(proxy.url, schemaName(), () => undefined);
    let wakes = 0;
    const listener = new WakeListener(
      far,
      place.pool,
      {
        onWake: () => (wakes += 1),
        onCancel: () => undefined,
        onDueSoon: () => undefined,
        onLeaderGone: () => undefined,
      },
      { testMs: 10, retestMs: 10, timeoutMs: 200, answerMs: 200 },
    );
    listener.start();
    await until(async () => listener.isWorking, { what: 'the first test' });
    proxy.swallowAnswers();
    await until(async () => !listener.isWorking, { what: 'a test that fails' });
    // What is held stays lost: only a new connection can bring anything.
    proxy.letThrough();
    await until(async () => listener.isWorking, { what: 'a new connection', timeoutMs: 20_000 });
    expect(wakes).toBeGreaterThan(1);
    await listener.stop();
    await Promise.all([place.close(), far.close()]);
    await proxy.close();
  });
});
