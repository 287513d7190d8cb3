import { Socket } from 'node:net';

import { Logger, type LoggerService } from '@nestjs/common';
import type { Client } from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { PgAdapter } from '../../lib/storage/adapters/pg.adapter.js';
import { Heartbeat, type HeartbeatOptions } from '../../lib/worker/heartbeat.js';
import { threadConfig } from '../../lib/worker/thread-config.js';
import { until } from '../support/signals.js';
import { registerTestInstance, SCHEMA } from '../support/storage-fixture.js';
import { failOnUnhandled } from '../support/test-app.js';
import { useTestDatabase } from '../support/test-database.js';

const INTERVAL_MS = 100;

describe('the heartbeat of a process', () => {
  failOnUnhandled();
  const database = useTestDatabase();
  const logs: string[] = [];
  let client: Client;
  let instanceId: string;
  let heartbeat: Heartbeat | undefined;

  beforeEach(async () => {
    logs.length = 0;
    const write = (message: unknown) => logs.push(String(message));
    Logger.overrideLogger({ log: write, warn: write, error: write } satisfies LoggerService);
    client = await database.client();
    instanceId = await registerTestInstance(new PgAdapter(client));
  });

  afterEach(async () => {
    await heartbeat?.stop();
    await until(async () => (await backends()).length === 0, { what: 'the end of the thread' });
  });

  function start(options: Partial<HeartbeatOptions> = {}): Heartbeat {
    heartbeat = new Heartbeat({
      port: new PgAdapter(client),
      schema: SCHEMA,
      clientConfig: { connectionString: database.url },
      intervalMs: INTERVAL_MS,
      maxBlockedLoopMs: 60_000,
      onLost: () => Promise.reject(new Error('not expected')),
      ...options,
    });
    heartbeat.start(instanceId);
    return heartbeat;
  }

  /** The connections of heartbeat threads. */
  async function backends(): Promise<number[]> {
    const { rows } = await database.query<{ pid: number }>(
      `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'awa heartbeat'
         AND state = 'idle'`,
    );
    return rows.map(({ pid }) => pid);
  }

  const thread = async () =>
    until(async () => (await backends())[0], { what: 'the connection of the thread' });

  async function lastBeat(id = instanceId): Promise<number> {
    const { rows } = await database.query<{ at: number }>(
      'SELECT extract(epoch FROM heartbeat_at)::float8 AS at FROM awa.runtime_instances WHERE instance_id = $1',
      [id],
    );
    return rows[0]?.at ?? Number.NaN;
  }

  async function beats(times: number, id = instanceId): Promise<void> {
    for (let beat = 0; beat < times; beat++) {
      const before = await lastBeat(id);
      await until(async () => (await lastBeat(id)) > before, { what: 'another heartbeat' });
    }
  }

  it('comes from a thread with a connection of its own, which both go when it stops', async () => {
    const running = start();
    await thread();
    // Nothing but the thread can write it now.
    const { rows } = await database.query('SELECT pg_terminate_backend($1)', [
      (await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')).rows[0]?.pid,
    ]);
    expect(rows).toHaveLength(1);
    await beats(3);
    expect(running.contactMs).toBeGreaterThan(0);
    await running.stop();
    await running.stop();
    expect(await backends()).toEqual([]);
    expect(running.contactMs).toBeLessThan(60_000);
  });

  it('does not care for what is set for the connections of the application', async () => {
    const owner = await database.ownerClient();
    const { rows } = await owner.query<{ name: string }>('SELECT quote_ident(current_database()) AS name');
    await owner.query(`ALTER DATABASE ${rows[0]?.name} SET default_transaction_read_only = on`);
    try {
      // The other connection cannot either.
      const port = new PgAdapter(await database.client());
      const connectionString = `${database.url}?application_name=web&statement_timeout=1`;
      start({ port, clientConfig: { connectionString } });
      await thread();
      await beats(3);
    } finally {
      await owner.query(`ALTER DATABASE ${rows[0]?.name} RESET default_transaction_read_only`);
    }
    expect(logs.filter((line) => line.includes('the thread'))).toEqual([]);
  });

  it('goes on over the end of its connection', async () => {
    start();
    const first = await thread();
    await database.query('SELECT pg_terminate_backend($1)', [first]);
    await until(async () => (await backends()).some((pid) => pid !== first), { what: 'a new connection' });
    await beats(3);
    expect(logs.filter((line) => line.includes('crashed'))).toEqual([]);
  });

  it('goes on over a crash of the thread, which is started again', async () => {
    const running = start();
    const first = await thread();
    const inside = running as unknown as { thread: { worker: { terminate(): Promise<number> } } };
    await inside.thread.worker.terminate();
    await beats(2);
    expect(logs.filter((line) => line.includes('the thread has crashed'))).toHaveLength(1);
    await until(async () => (await backends()).some((pid) => pid !== first), { what: 'a new thread' });
  });

  it('comes from the event loop while the thread cannot connect', async () => {
    const running = start({ clientConfig: { host: '127.0.0.1', port: 1 } });
    await beats(5);
    await until(async () => running.contactMs > 5 * INTERVAL_MS, { what: 'contact' });
    expect(logs.filter((line) => line.includes('no connection, the event loop stands in'))).toHaveLength(1);
  });

  it('comes from the event loop for good where a thread cannot have the connection', async () => {
    start({ clientConfig: { connectionString: database.url, stream: () => new Socket() } });
    await beats(3);
    expect(await backends()).toEqual([]);
    expect(logs).toEqual([
      expect.stringContaining('no thread for heartbeats, since the option "stream" of the connection'),
    ]);
  });

  it('of an instance that was declared lost tells so, until there is a new one, and goes on with that', async () => {
    const lost: string[] = [];
    let anew = '';
    start({
      onLost: async (id) => {
        lost.push(id);
        if (lost.length === 1) throw new Error('no database');
        anew = await registerTestInstance(new PgAdapter(client));
        return anew;
      },
    });
    await thread();
    await database.query('DELETE FROM awa.runtime_instances WHERE instance_id = $1', [instanceId]);
    await until(async () => anew !== '', { what: 'a new instance' });
    await beats(3, anew);
    expect(lost).toEqual([instanceId, instanceId]);
  });
});

describe('what a thread gets of a connection', () => {
  it('is all that can be cloned, without the functions of a pool', () => {
    const ssl = Object.defineProperty({ ca: 'ca' }, 'key', { value: 'key', enumerable: false });
    const types = { getTypeParser: () => String };
    const given = { host: 'h', password: 'secret', ssl, types, log: () => undefined, Promise };
    expect(threadConfig(given)).toEqual({
      config: { host: 'h', password: 'secret', ssl: { ca: 'ca', key: 'key' } },
      password: undefined,
    });
  });

  it('is asked for when it is a password that is made by a function', () => {
    const password = () => 'token';
    expect(threadConfig({ user: 'u', password })).toEqual({ config: { user: 'u' }, password });
  });

  it('is refused, when a function matters', () => {
    expect(() => threadConfig({ ssl: { checkServerIdentity: () => undefined } })).toThrow(
      'could not be cloned',
    );
  });
});
