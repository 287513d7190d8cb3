import { randomUUID } from 'node:crypto';

import { defineJob } from 'nestjs-awa';
import type { Client } from 'pg';
import { beforeEach, describe, expect, it } from 'vitest';

import { schemaName } from '../../lib/storage/schema-name.js';
import { deferred } from '../support/signals.js';
import { type TestApp, useTestApps } from '../support/test-app.js';
import { useTestDatabase } from '../support/test-database.js';

const Work = defineJob<{ n: number }, 'work'>('work', { queue: 'a' });

describe('the notification of an enqueue', () => {
  const database = useTestDatabase();
  const apps = useTestApps(database);
  let app: TestApp;
  let client: Client;
  const marks = new Set<string>();

  beforeEach(async () => {
    app = await apps.start({ worker: false, queues: { a: {}, b: {} } });
    client = await database.client();
  });

  /** Hears everything up to a mark that it sends itself: what came before that is all there was. */
  async function listen(): Promise<{ readonly heard: readonly string[]; mark(): Promise<void> }> {
    const marked = deferred();
    const heard: string[] = [];
    const mark = randomUUID();
    const listener = await database.client();
    listener.on('notification', ({ payload = '' }) => {
      if (payload === mark) marked.resolve();
      else if (!marks.has(payload)) heard.push(payload);
    });
    await listener.query(`LISTEN ${schemaName().channel}`);
    return {
      heard,
      mark: async () => {
        marks.add(mark);
        await database.query('SELECT pg_notify($1, $2)', [schemaName().channel, mark]);
        await marked.promise;
      },
    };
  }

  it('is sent once per queue, priority and transaction, after the commit', async () => {
    const [beforeCommit, afterCommit] = [await listen(), await listen()];
    await client.query('BEGIN');
    for (const queue of ['a', 'b', 'a', 'b', 'a']) {
      await app.queue.enqueue(Work, { n: 1 }, { client, queue });
    }
    await app.queue.enqueue(Work, { n: 1 }, { client, priority: 1 });
    await beforeCommit.mark();
    expect(beforeCommit.heard).toEqual([]);
    await client.query('COMMIT');
    await afterCommit.mark();
    expect(afterCommit.heard.toSorted()).toEqual(['a\n1', 'a\n2', 'b\n2']);
  });

  it('is sent once for many jobs of one statement', async () => {
    const listener = await listen();
    await app.queue.enqueueMany(Work, [{ n: 1 }, { n: 2 }, { n: 3 }]);
    await listener.mark();
    expect(listener.heard).toEqual(['a\n2']);
  });

  it('is not sent for jobs that are not due, nor for those rolled back', async () => {
    const listener = await listen();
    await app.queue.enqueue(Work, { n: 1 }, { delay: 60_000 });
    await app.queue.enqueueMany(Work, [{ n: 1 }, { n: 2 }], { runAt: new Date(Date.now() + 60_000) });
    await client.query('BEGIN');
    await app.queue.enqueue(Work, { n: 1 }, { client });
    await client.query('ROLLBACK');
    await listener.mark();
    expect(listener.heard).toEqual([]);
  });

  it('carries the name of any queue', async () => {
    const name = `${'ü'.repeat(199)}"`;
    const other = await apps.start({ worker: false, queues: { [name]: {} } });
    const listener = await listen();
    await other.queue.enqueue(Work, { n: 1 }, { queue: name });
    await listener.mark();
    expect(listener.heard).toEqual([`${name}\n2`]);
  });
});
