import { Client } from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FaultProxy } from './fault-proxy.js';
import { until } from './signals.js';
import { useTestDatabase } from './test-database.js';

const INSERT = {
  name: 'awa_insert',
  text: 'INSERT INTO rows SELECT generate_series(1, $1::int) RETURNING n',
};

describe('the proxy', () => {
  const database = useTestDatabase({ migrated: false });
  let proxy: FaultProxy;
  let client: Client;

  beforeEach(async () => {
    await database.query('DROP TABLE IF EXISTS rows; CREATE TABLE rows (n int)');
    proxy = await FaultProxy.open(database.url);
    client = new Client({ connectionString: proxy.url, pipeline: true });
    client.on('error', () => undefined);
    await client.connect();
  });

  afterEach(async () => {
    await proxy.close();
    await client.end().catch(() => undefined);
  });

  async function rows(): Promise<number> {
    return (await database.query('SELECT FROM rows')).rowCount ?? 0;
  }

  it('loses the answer of the statement it was told, which is committed, and of no other', async () => {
    const lost = proxy.loseAnswer('_insert', { minRows: 2 });
    const answers = await Promise.allSettled([
      client.query({ name: 'other', text: 'SELECT 1' }),
      client.query({ ...INSERT, values: [1] }),
      client.query({ ...INSERT, values: [3] }),
      client.query({ name: 'other', text: 'SELECT 1' }),
    ]);
    await lost;
    expect(answers[2]).toMatchObject({ status: 'rejected' });
    expect(await rows()).toBe(4);

    const next = new Client({ connectionString: proxy.url });
    await next.connect();
    expect((await next.query({ ...INSERT, values: [2] })).rowCount).toBe(2);
    await next.end();
  });

  it('passes answers of any size, in whatever pieces they come', async () => {
    const text = `SELECT repeat('x', 1000000) AS x FROM generate_series(1, 5)`;
    void proxy.loseAnswer('_insert');
    const large = await client.query<{ x: string }>({ name: 'large', text });
    expect(large.rows.map(({ x }) => x.length)).toEqual(Array.from({ length: 5 }, () => 1_000_000));
  });

  it('says when a statement is sent', async () => {
    const sent = proxy.sent('_insert');
    await client.query('SELECT 1');
    const [answer] = await Promise.all([client.query({ ...INSERT, values: [1] }), sent]);
    expect(answer.rowCount).toBe(1);
  });

  it('holds everything back while it is frozen, and delivers it then', async () => {
    proxy.freeze();
    let isAnswered = false;
    const answer = client.query({ ...INSERT, values: [1] }).then(() => (isAnswered = true));
    expect(await rows()).toBe(0);
    expect(isAnswered).toBe(false);
    proxy.thaw();
    await answer;
    expect(await rows()).toBe(1);
  });

  it('swallows what the server answers, while what it is asked arrives', async () => {
    proxy.swallowAnswers();
    const answer = client.query({ ...INSERT, values: [1] });
    await until(async () => (await rows()) === 1, { what: 'the insert' });
    proxy.letThrough();
    const next = new Client({ connectionString: proxy.url });
    await next.connect();
    expect((await next.query({ ...INSERT, values: [2] })).rowCount).toBe(2);
    await next.end();
    proxy.cut();
    await expect(answer).rejects.toThrow('Connection terminated');
  });
});
