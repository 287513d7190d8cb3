import { Client } from 'pg';
import { beforeAll, describe, expect, inject, it } from 'vitest';

import { administer, createDatabase, dropDatabase, withDatabase } from './database-admin.js';
import { deferred, until } from './signals.js';
import { useTestDatabase } from './test-database.js';

describe('useTestDatabase', () => {
  const database = useTestDatabase();
  const empty = useTestDatabase({ migrated: false });
  let client: Client;

  beforeAll(async () => {
    client = await database.client();
  });

  it('gives every caller a database of its own', async () => {
    await database.query('CREATE TABLE mine AS SELECT 42 AS answer');
    const { rows } = await database.query('SELECT answer FROM mine WHERE answer = $1', [42]);
    expect(rows).toEqual([{ answer: 42 }]);
    expect((await client.query('SELECT answer FROM mine')).rows).toEqual(rows);
    expect((await empty.query("SELECT to_regclass('mine') AS mine")).rows).toEqual([{ mine: null }]);
  });

  it('gives clients that are sessions of their own', async () => {
    const pid = 'SELECT pg_backend_pid() AS pid';
    const other = await database.client();
    expect((await client.query(pid)).rows).not.toEqual((await other.query(pid)).rows);
  });

  it('survives a session that is cut off', async () => {
    const victim = await database.client();
    const gone = deferred();
    victim.once('end', gone.resolve);
    const { rows } = await victim.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    await database.query('SELECT pg_terminate_backend($1)', [rows[0]?.pid]);
    await gone.promise;
    await expect(victim.query('SELECT 1')).rejects.toThrow(Error);
  });
});

describe('createDatabase', () => {
  it('copies one template many times at once, and waits for sessions that are leaving it', async () => {
    const url = inject('pgUrl');
    const prefix = `${inject('pgTemplate')}_copy`;
    const names = [1, 2, 3, 4].map((n) => `${prefix}_${n}`);
    const template = `${prefix}_source`;
    await administer(url, (admin) => createDatabase(admin, template, 'template0'));
    const session = new Client({ connectionString: withDatabase(url, template) });
    await session.connect();

    const copies = Promise.all(
      names.map(async (name) => administer(url, (admin) => createDatabase(admin, name, template))),
    );
    await session.end();
    await expect(copies).resolves.toHaveLength(names.length);

    await administer(url, async (admin) => {
      for (const name of [...names, template]) await dropDatabase(admin, name);
    });
  });
});

describe('until', () => {
  it('returns what the check finds at last', async () => {
    let calls = 0;
    const check = async () => (++calls < 3 ? undefined : calls);
    expect(await until(check, { what: 'the third call' })).toBe(3);
  });

  it('names what did not happen, with the reason', async () => {
    const cause = new Error('connection refused');
    const check = async () => Promise.reject(cause);
    await expect(until(check, { timeoutMs: 30, what: 'the answer' })).rejects.toMatchObject({
      message: 'the answer did not happen within 30 ms.',
      cause,
    });
  });
});
