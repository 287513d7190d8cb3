import { describe, expect, it } from 'vitest';
import { completeAttempts } from '../../lib/storage/operations/close-attempts.js';
import { enqueueJobs } from '../../lib/storage/operations/enqueue-jobs.js';
import { expireUniqueKeys } from '../../lib/storage/operations/expire-unique-keys.js';
import { newJob, SCHEMA } from '../support/storage-fixture.js';
import { useTestDatabase } from '../support/test-database.js';
import { useUniqueFixture } from '../support/unique-fixture.js';

const database = useTestDatabase();
const u = useUniqueFixture(database);

const HELD = ['completed', 'failed', 'cancelled'] as const;

describe('a key that ended jobs hold', () => {
  it('stays with a completed job until its record is reclaimed', async () => {
    const { id, jobs } = await u.putAndClaim('a', { heldAfter: ['completed'] });
    await completeAttempts(u.port, SCHEMA, jobs);
    expect(await u.put('a')).toEqual({ id, deduplicated: true });
    await enqueueJobs(u.port, SCHEMA, [newJob(u.queue)]);
    await completeAttempts(u.port, SCHEMA, await u.claim());
    await u.turn('ready');
    expect(await u.state(id)).toBeUndefined();
    expect(await u.holder('a')).toBeUndefined();
    expect((await u.put('a')).deduplicated).toBe(false);
  });

  it.each(['failed', 'cancelled'] as const)(
    'stays with a %s job until its record is reclaimed',
    async (how) => {
      const { id, jobs } = await u.putAndClaim('a', { heldAfter: [how] });
      await u.settle(jobs, how);
      expect(await u.put('a')).toEqual({ id, deduplicated: true });
      await u.turn('ready');
      expect(await u.state(id)).toBe(how);
      expect(await u.put('a')).toEqual({ id, deduplicated: true });
      await u.turn('done');
      expect(await u.state(id)).toBeUndefined();
      expect((await u.put('a')).deduplicated).toBe(false);
    },
  );

  it('is held in the chosen states only', async () => {
    const { jobs } = await u.putAndClaim('a', { heldAfter: ['failed', 'cancelled'] });
    await completeAttempts(u.port, SCHEMA, jobs);
    expect(await u.holder('a')).toBeUndefined();
    const again = await u.putAndClaim('a', { heldAfter: ['completed'] });
    await u.settle(again.jobs, 'failed');
    expect(await u.holder('a')).toBeUndefined();
  });

  it('goes with its own slot, not with another of the same number in another ring', async () => {
    const { id, jobs } = await u.putAndClaim('a', { heldAfter: HELD });
    await u.settle(jobs, 'failed');
    const { rows } = await database.query<{ ring: string }>(
      'SELECT record_ring AS ring FROM awa.job_unique_claims WHERE job_id = $1',
      [id],
    );
    expect(rows).toEqual([{ ring: 'done' }]);
    await database.query('SELECT awa.drop_unique_records($1, record_slot) FROM awa.job_unique_claims', [
      'ready',
    ]);
    expect(await u.put('a')).toEqual({ id, deduplicated: true });
  });
});

describe('a key with a period', () => {
  const DAY = 86_400_000;

  it('is of the window that the clock of the database is in', async () => {
    const { id } = await u.put('a', { periodMs: DAY });
    const { rows } = await database.query<{ window: boolean; expires: boolean }>(
      `SELECT unique_key = decode($2, 'hex') || int8send((extract(epoch FROM now())::bigint / 86400)) AS window,
         expires_at = date_trunc('day', now(), 'UTC') + interval '24 hours' AS expires
       FROM awa.job_unique_claims WHERE job_id = $1`,
      [id, u.key('a')],
    );
    expect(rows).toEqual([{ window: true, expires: true }]);
    expect(await u.put('a', { periodMs: DAY })).toEqual({ id, deduplicated: true });
  });

  it('is another one in the next window, while the first job still waits', async () => {
    const first = await u.put('a', { periodMs: 1 });
    await database.query('SELECT pg_sleep(0.002)');
    const second = await u.put('a', { periodMs: 1 });
    expect(second.deduplicated).toBe(false);
    const jobs = await u.claim();
    expect(jobs.map(({ jobId }) => jobId)).toEqual([first.id, second.id]);
    await completeAttempts(u.port, SCHEMA, jobs);
    expect(await u.holder('a')).toBeUndefined();
  });

  it('outlives the record of a completed job until the period ends, and is swept then', async () => {
    const { id, jobs } = await u.putAndClaim('a', { periodMs: DAY, heldAfter: ['completed'] });
    await completeAttempts(u.port, SCHEMA, jobs);
    await u.turn('ready');
    expect(await u.state(id)).toBeUndefined();
    expect(await expireUniqueKeys(u.port, SCHEMA, 100)).toBe(0);
    expect(await u.put('a', { periodMs: DAY, heldAfter: ['completed'] })).toEqual({ id, deduplicated: true });
    await database.query('UPDATE awa.job_unique_claims SET expires_at = now() WHERE job_id = $1', [id]);
    expect(await expireUniqueKeys(u.port, SCHEMA, 100)).toBe(1);
    expect(await u.holder('a')).toBeUndefined();
  });

  it('is not swept while its job lives, and goes at once when it ends after the period', async () => {
    const { id, jobs } = await u.putAndClaim('a', { periodMs: DAY, heldAfter: HELD });
    await database.query('UPDATE awa.job_unique_claims SET expires_at = now() WHERE job_id = $1', [id]);
    expect(await expireUniqueKeys(u.port, SCHEMA, 100)).toBe(0);
    expect(await u.holder('a')).toBe(id);
    await completeAttempts(u.port, SCHEMA, jobs);
    expect(await u.holder('a')).toBeUndefined();
  });
});
