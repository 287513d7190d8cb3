import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { DatabaseUnavailableError } from '../../lib/errors/index.js';
import { ManagedClient } from '../../lib/storage/connection/managed-client.js';
import { PipelinedPort } from '../../lib/storage/connection/pipelined-port.js';
import { FaultProxy } from '../support/fault-proxy.js';
import { until } from '../support/signals.js';
import { useTestDatabase } from '../support/test-database.js';

const SELECT_ONE = { name: 'one', text: 'SELECT 1 AS one' };
const SLEEP = { name: 'sleep', text: 'SELECT pg_sleep(0.2)' };

describe('a connection that is dead without a word', () => {
  const database = useTestDatabase({ migrated: false });
  let proxy: FaultProxy;
  let client: ManagedClient;
  let reasons: Error[];

  beforeEach(async () => {
    proxy = await FaultProxy.open(database.url);
    reasons = [];
    client = new ManagedClient({
      config: { connectionString: proxy.url },
      applicationName: 'awa worker',
      pipeline: true,
      connectTimeoutMs: 300,
      onDisconnect: (reason) => reasons.push(reason),
    });
  });

  afterEach(async () => {
    proxy.cut();
    await client.close();
    await proxy.close();
  });

  it('fails all that waits on it when the limit is over, and is replaced at the next use', async () => {
    const port = new PipelinedPort(client, 300);
    expect(await port.query(SELECT_ONE, [])).toEqual([{ one: 1 }]);
    proxy.swallowAnswers();
    const waiting = await Promise.allSettled([port.query(SELECT_ONE, []), port.query(SELECT_ONE, [])]);
    for (const result of waiting) {
      expect(result).toMatchObject({ status: 'rejected', reason: expect.any(DatabaseUnavailableError) });
    }
    await until(async () => reasons.length === 1, { what: 'the end of the connection being told' });
    proxy.letThrough();
    expect(await port.query(SELECT_ONE, [])).toEqual([{ one: 1 }]);
  });

  it('is noticed while it is made, too', async () => {
    const port = new PipelinedPort(client, 10_000);
    proxy.swallowAnswers();
    await expect(port.query(SELECT_ONE, [])).rejects.toBeInstanceOf(DatabaseUnavailableError);
    proxy.letThrough();
    expect(await port.query(SELECT_ONE, [])).toEqual([{ one: 1 }]);
  });

  it('is not mistaken for one that answers within the limit', async () => {
    const port = new PipelinedPort(client, 10_000);
    expect(await Promise.all([port.query(SLEEP, []), port.query(SELECT_ONE, [])])).toHaveLength(2);
    expect(reasons).toEqual([]);
  });
});
