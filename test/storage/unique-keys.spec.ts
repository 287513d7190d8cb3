import { describe, expect, it } from 'vitest';
import { PgAdapter } from '../../lib/storage/adapters/pg.adapter.js';
import { completeAttempts } from '../../lib/storage/operations/close-attempts.js';
import { enqueueJobs } from '../../lib/storage/operations/enqueue-jobs.js';
import { getJob } from '../../lib/storage/operations/get-job.js';
import { rescueAttempts } from '../../lib/storage/operations/instances.js';
import { promoteDeferred } from '../../lib/storage/operations/promote-deferred.js';
import { claimJobs, newJob, registerTestInstance, SCHEMA } from '../support/storage-fixture.js';
import { useTestDatabase } from '../support/test-database.js';
import { enqueueUnique, useUniqueFixture } from '../support/unique-fixture.js';

const database = useTestDatabase();
const u = useUniqueFixture(database);

describe('enqueuing unique jobs', () => {
  it('answers the job that has the key, and writes nothing for the loser', async () => {
    const first = await u.put('a');
    expect(first.deduplicated).toBe(false);
    expect(await u.put('a')).toEqual({ id: first.id, deduplicated: true });
    const delayed = u.job('a', {}, { delayMs: 60_000 });
    expect(await enqueueUnique(u.port, [delayed])).toEqual([{ id: first.id, deduplicated: true }]);
    const { rows } = await database.query(
      `SELECT (SELECT count(*) FROM awa.ready_entries e JOIN awa.queue_lanes USING (lane_id) WHERE queue = $1)::int AS ready,
         (SELECT count(*) FROM awa.deferred_jobs JOIN awa.queue_lanes USING (lane_id) WHERE queue = $1)::int AS deferred`,
      [u.queue],
    );
    expect(rows).toEqual([{ ready: 1, deferred: 0 }]);
    expect((await u.put('b')).deduplicated).toBe(false);
  });

  it('gives later duplicates of a batch the first one, and keeps the order of the rest', async () => {
    const taken = await u.put('m');
    const texts = ['z', 'm', 'a', 'z', 'q', 'a', 'z'];
    const results = await enqueueUnique(
      u.port,
      texts.map((text, n) => u.job(text, {}, { argsJson: String(n) })),
    );
    expect(results.map(({ deduplicated }) => deduplicated)).toEqual(
      texts.map((text, n) => text === 'm' || texts.indexOf(text) < n),
    );
    expect(results[1]!.id).toBe(taken.id);
    expect([results[3]!.id, results[6]!.id, results[5]!.id]).toEqual([
      results[0]!.id,
      results[0]!.id,
      results[2]!.id,
    ]);
    const jobs = await u.claim();
    expect(jobs.map(({ jobId }) => jobId)).toEqual([
      taken.id,
      results[0]!.id,
      results[2]!.id,
      results[4]!.id,
    ]);
    expect(jobs.map(({ argsJson }) => argsJson)).toEqual(['{}', '0', '2', '4']);
    expect(jobs.map(({ uniqueKey }) => uniqueKey)).toEqual(['m', 'z', 'a', 'q'].map((text) => u.key(text)));
  });

  it('says so when the whole batch is there already', async () => {
    const jobs = ['a', 'b'].map((text) => u.job(text));
    const first = await enqueueUnique(u.port, jobs);
    expect(await enqueueUnique(u.port, jobs)).toEqual(first.map(({ id }) => ({ id, deduplicated: true })));
  });

  it('refuses an unknown queue without leaving a key behind', async () => {
    await expect(enqueueUnique(u.port, [{ ...u.job('a'), queue: 'nowhere' }])).rejects.toMatchObject({
      code: 'AW001',
    });
    expect(await u.holder('a')).toBeUndefined();
  });

  it('costs jobs without a key nothing', async () => {
    const before = await database.query('SELECT count(*) FROM awa.job_unique_claims');
    await enqueueJobs(u.port, SCHEMA, [newJob(u.queue)]);
    const jobs = await u.claim();
    expect(jobs[0]!.uniqueKey).toBeUndefined();
    await completeAttempts(u.port, SCHEMA, jobs);
    expect((await database.query('SELECT count(*) FROM awa.job_unique_claims')).rows).toEqual(before.rows);
  });
});

describe('a key is free when its job', () => {
  it('is completed, in the statement that completes it', async () => {
    const { id, jobs } = await u.putAndClaim('a');
    const closer = await database.client();
    await closer.query('BEGIN');
    await completeAttempts(new PgAdapter(closer), SCHEMA, jobs);
    expect(await u.holder('a')).toBe(id);
    await closer.query('COMMIT');
    expect(await u.holder('a')).toBeUndefined();
    const next = await u.put('a');
    expect(next).toEqual({ id: expect.not.stringMatching(`^${id}$`), deduplicated: false });
  });

  it.each([
    ['failed', 'failed'],
    ['invalid', 'failed'],
    ['cancelled', 'cancelled'],
  ] as const)('is %s', async (outcome, expected) => {
    const { id, jobs } = await u.putAndClaim('a');
    expect(await u.settle(jobs, outcome)).toEqual([expected]);
    expect(await u.holder('a')).toBeUndefined();
    expect((await u.put('a')).id).not.toBe(id);
  });

  it('has used up its attempts', async () => {
    const job = u.job('a', {}, { maxAttempts: 1 });
    await enqueueUnique(u.port, [job]);
    expect(await u.settle(await u.claim(), 'error')).toEqual(['failed']);
    expect(await u.holder('a')).toBeUndefined();
  });

  it('was rescued for the last time', async () => {
    const dead = await registerTestInstance(u.port, 1);
    const job = u.job('a', {}, { maxAttempts: 1 });
    const [first] = await enqueueUnique(u.port, [job]);
    await claimJobs(u.port, SCHEMA, dead, [{ queue: u.queue, limit: 1 }]);
    await database.query(
      "UPDATE awa.runtime_instances SET heartbeat_at = clock_timestamp() - interval '1 hour' WHERE instance_id = $1",
      [dead],
    );
    await database.query('SELECT pg_sleep(0.01)');
    await rescueAttempts(u.port, SCHEMA, u.instanceId, 36_000_000, 100);
    expect(await u.state(first!.id)).toBe('failed');
    expect(await u.holder('a')).toBeUndefined();
  });

  it('but not for a completion that came too late', async () => {
    const { id, jobs } = await u.putAndClaim('a');
    await u.settle(jobs, 'released');
    expect(await completeAttempts(u.port, SCHEMA, jobs)).toEqual(jobs);
    expect(await u.holder('a')).toBe(id);
  });

  it('and only its own key is', async () => {
    await enqueueUnique(
      u.port,
      ['a', 'b', 'c', 'd'].map((text) => u.job(text)),
    );
    await enqueueJobs(u.port, SCHEMA, [newJob(u.queue)]);
    const jobs = await u.claim();
    await completeAttempts(u.port, SCHEMA, [jobs[4]!, jobs[2]!, jobs[1]!]);
    const holders = await Promise.all(['a', 'b', 'c', 'd'].map((text) => u.holder(text)));
    expect(holders).toEqual([jobs[0]!.jobId, undefined, undefined, jobs[3]!.jobId]);
  });
});

describe('a key is held while its job', () => {
  it.each([
    ['error', 'retryable'],
    ['snoozed', 'scheduled'],
    ['released', 'available'],
  ] as const)('goes back to work (%s), until it ends', async (outcome, expected) => {
    const { id, jobs } = await u.putAndClaim('a');
    expect(await u.settle(jobs, outcome, 60_000)).toEqual([expected]);
    expect(await u.put('a')).toEqual({ id, deduplicated: true });
    await database.query('UPDATE awa.deferred_jobs SET run_at = now() WHERE job_id = $1', [id]);
    await promoteDeferred(u.port, SCHEMA, 100);
    expect(await u.put('a')).toEqual({ id, deduplicated: true });
    const again = await u.claim();
    expect(again.map(({ jobId, uniqueKey }) => [jobId, uniqueKey])).toEqual([[id, u.key('a')]]);
    expect(await u.put('a')).toEqual({ id, deduplicated: true });
    await completeAttempts(u.port, SCHEMA, again);
    expect((await u.put('a')).id).not.toBe(id);
  });

  it('is scheduled', async () => {
    const [first] = await enqueueUnique(u.port, [u.job('a', {}, { delayMs: 60_000 })]);
    expect(await u.state(first!.id)).toBe('scheduled');
    expect(await u.put('a')).toEqual({ id: first!.id, deduplicated: true });
  });

  it('was taken from a dead process', async () => {
    const dead = await registerTestInstance(u.port, 1);
    const { id } = await u.put('a');
    await claimJobs(u.port, SCHEMA, dead, [{ queue: u.queue, limit: 1 }]);
    await database.query(
      "UPDATE awa.runtime_instances SET heartbeat_at = clock_timestamp() - interval '1 hour' WHERE instance_id = $1",
      [dead],
    );
    await database.query('SELECT pg_sleep(0.01)');
    await rescueAttempts(u.port, SCHEMA, u.instanceId, 36_000_000, 100);
    expect(await u.state(id)).toBe('retryable');
    expect(await u.put('a')).toEqual({ id, deduplicated: true });
  });

  it('and its old rows are reclaimed under it', async () => {
    const { id, jobs } = await u.putAndClaim('a', { heldAfter: ['completed', 'failed'] });
    await u.settle(jobs, 'error', 60_000);
    await u.turn('ready');
    expect(await u.put('a')).toEqual({ id, deduplicated: true });
  });
});

describe('a job whose key somebody gave to another', () => {
  /** What no statement of the engine does. */
  const giveAway = (id: string) =>
    database.query('UPDATE awa.job_unique_claims SET job_id = 999999999 WHERE job_id = $1', [id]);

  it.each(['error', 'snoozed', 'released'] as const)(
    'is cancelled when it would go back to work (%s), and nothing else of the batch is',
    async (outcome) => {
      await u.put('a');
      await u.put('b');
      await enqueueJobs(u.port, SCHEMA, [newJob(u.queue)]);
      const jobs = await u.claim();
      await giveAway(jobs[0]!.jobId);
      const states = await u.settle(jobs, outcome, 60_000);
      expect(states[0]).toBe('cancelled');
      expect(states[1]).not.toBe('cancelled');
      expect(states[2]).toBe(states[1]);
      const { payloadJson } = (await getJob(u.port, SCHEMA, jobs[0]!.jobId))!;
      expect(JSON.parse(payloadJson!)).toMatchObject({
        errors: [{ error: 'cancelled: job 999999999 holds its unique key\nwhy', terminal: true }],
      });
      expect(await u.holder('a')).toBe('999999999');
    },
  );

  it('ends as it ends otherwise', async () => {
    const [first, second, third] = [await u.put('a'), await u.put('b'), await u.put('c')];
    const jobs = await u.claim();
    for (const { id } of [first, second, third]) await giveAway(id);
    expect(await completeAttempts(u.port, SCHEMA, [jobs[0]!])).toEqual([]);
    expect(await u.settle([jobs[1]!], 'failed')).toEqual(['failed']);
    expect(await u.settle([jobs[2]!], 'cancelled')).toEqual(['cancelled']);
    for (const text of ['a', 'b', 'c']) expect(await u.holder(text)).toBe('999999999');
  });

  it('is cancelled instead of promoted', async () => {
    const jobs = await enqueueUnique(
      u.port,
      ['a', 'b'].map((text) => u.job(text, {}, { delayMs: 1 })),
    );
    await database.query('SELECT pg_sleep(0.005)');
    await giveAway(jobs[0]!.id);
    await promoteDeferred(u.port, SCHEMA, 100);
    expect(await u.state(jobs[0]!.id)).toBe('cancelled');
    expect(await u.state(jobs[1]!.id)).toBe('available');
    expect((await u.claim()).map(({ jobId }) => jobId)).toEqual([jobs[1]!.id]);
    expect(JSON.parse((await getJob(u.port, SCHEMA, jobs[0]!.id))!.payloadJson!)).toMatchObject({
      errors: [{ error: 'cancelled: job 999999999 holds its unique key' }],
    });
  });
});
