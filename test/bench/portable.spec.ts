import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { readEnvironment } from '../../bench/portable/environment.js';
import { SlidingLatency } from '../../bench/portable/sliding-latency.js';
import { useTestDatabase } from '../support/test-database.js';

const database = useTestDatabase();

describe('the adapter for the public benchmark', () => {
  it('names every table that jobs go through', async () => {
    const text = await readFile(new URL('../../bench/portable/adapter.json', import.meta.url), 'utf8');
    const { event_tables: named } = JSON.parse(text) as { event_tables: string[] };
    const { rows } = await database.query<{ name: string }>(
      `SELECT 'awa.' || c.relname AS name FROM pg_class c
       WHERE c.relnamespace = 'awa'::regnamespace AND c.relkind = 'r'
         AND (c.relispartition OR EXISTS (
           SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname IN ('job_id', 'instance_id')))`,
    );
    expect(named).toEqual(expect.arrayContaining(rows.map(({ name }) => name)));
    const { rows: missing } = await database.query(
      'SELECT name FROM unnest($1::text[]) AS name WHERE to_regclass(name) IS NULL',
      [named],
    );
    expect(missing).toEqual([]);
  });

  it('takes its settings from the environment, with the defaults of the harness', () => {
    expect(readEnvironment({ DATABASE_URL: 'postgres://x' })).toMatchObject({
      mode: 'fixed',
      targetDepth: 1_000,
      batchMax: 128,
      workers: 32,
      payloadBytes: 256,
      workMs: 1,
      sampleEveryS: 5,
      instanceId: 0,
      produces: true,
    });
    const second = { BENCH_INSTANCE_ID: '1', PRODUCER_ONLY_INSTANCE_ZERO: '1' };
    expect(readEnvironment({ DATABASE_URL: 'postgres://x', ...second }).produces).toBe(false);
  });

  it.each([
    [{}, 'DATABASE_URL'],
    [{ DATABASE_URL: 'postgres://x', SCENARIO: 'other' }, 'SCENARIO other'],
    [{ DATABASE_URL: 'postgres://x', PRODUCER_MODE: 'burst' }, 'PRODUCER_MODE burst'],
    [{ DATABASE_URL: 'postgres://x', WORKER_COUNT: 'many' }, 'WORKER_COUNT'],
  ])('refuses %j', (environment, message) => {
    expect(() => readEnvironment(environment)).toThrow(message);
  });
});

describe('percentiles over a window', () => {
  it('are those of the last samples, and forget the ones before', () => {
    const latency = new SlidingLatency(2);
    expect(latency.take([50])).toBeUndefined();
    for (let ms = 1; ms <= 100; ms++) latency.record(ms);
    const [half, most] = latency.take([50, 99]) as [number, number];
    expect(half).toBeCloseTo(50, 0);
    expect(most).toBeCloseTo(99, 0);
    latency.record(500);
    expect(latency.take([100])?.[0]).toBeCloseTo(500, -1);
    expect(latency.take([50])?.[0]).toBeCloseTo(500, -1);
    expect(latency.take([50])).toBeUndefined();
  });
});
