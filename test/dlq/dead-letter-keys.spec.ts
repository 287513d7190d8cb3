import { beforeEach, describe, expect, it } from 'vitest';
import { PgAdapter } from '../../lib/storage/adapters/pg.adapter.js';
import { getJob } from '../../lib/storage/operations/get-job.js';
import { moveFailedToDlq } from '../../lib/storage/operations/move-failed-to-dlq.js';
import {
  purgeDeadLetters,
  purgeExpiredDeadLetters,
} from '../../lib/storage/operations/purge-dead-letters.js';
import { registerQueues } from '../../lib/storage/operations/queues.js';
import { retryDeadLetters } from '../../lib/storage/operations/retry-dead-letters.js';
import { SCHEMA } from '../support/storage-fixture.js';
import { useTestDatabase } from '../support/test-database.js';
import { useUniqueFixture } from '../support/unique-fixture.js';

const database = useTestDatabase();
const u = useUniqueFixture(database);
const KEEPING = { heldAfter: ['failed'] } as const;

const deadLetters = (ms: number) => registerQueues(u.port, SCHEMA, [{ name: u.queue, deadLetterMs: ms }]);

beforeEach(() => deadLetters(60_000));

/** A dead letter with the key of a text. @returns its id */
async function bury(text: string, unique: { readonly heldAfter?: readonly string[] } = {}): Promise<string> {
  const { id, jobs } = await u.putAndClaim(text, unique);
  await u.settle(jobs, 'failed');
  return id;
}

/** Reclaims the done ring, which is not done when there is nothing in it. */
async function turnDone(): Promise<void> {
  const { jobs } = await u.putAndClaim('another');
  await u.settle(jobs, 'cancelled');
  await u.turn('done');
}

const retry = (...ids: string[]) => retryDeadLetters(u.port, SCHEMA, ids, true, {});

describe('the unique key of a dead letter', () => {
  it('is free, so that another job may have it', async () => {
    await bury('a');
    expect(await u.holder('a')).toBeUndefined();
    expect(await u.put('a')).toMatchObject({ deduplicated: false });
  });

  it('is held where failed jobs hold it, over a reclaim of the ring, until it is purged', async () => {
    const id = await bury('a', KEEPING);
    await turnDone();
    expect(await u.put('a')).toEqual({ id, deduplicated: true });
    expect(await purgeDeadLetters(u.port, SCHEMA, [id], true)).toEqual([id]);
    expect(await u.holder('a')).toBeUndefined();
  });

  it('goes when its retention is over', async () => {
    const id = await bury('a', KEEPING);
    await database.query("UPDATE awa.dlq_entries SET dlq_at = dlq_at - interval '2 min' WHERE job_id = $1", [
      id,
    ]);
    expect(await purgeExpiredDeadLetters(u.port, SCHEMA, 10)).toBe(1);
    expect(await u.holder('a')).toBeUndefined();
  });

  it('stays with a failed job that is moved here, when its old record is reclaimed', async () => {
    await deadLetters(0);
    const id = await bury('a', KEEPING);
    expect(await moveFailedToDlq(u.port, SCHEMA, [id], 'moved')).toEqual([id]);
    await turnDone();
    expect(await u.put('a')).toEqual({ id, deduplicated: true });
  });
});

describe('a retry', () => {
  it.each([
    ['takes a free key again', {}],
    ['goes on with the key it holds', KEEPING],
  ])('%s, until the job ends', async (_, unique) => {
    const id = await bury('a', unique);
    expect(await retry(id)).toEqual({ retried: [id], cancelled: [] });
    expect(await u.put('a')).toEqual({ id, deduplicated: true });
    const jobs = await u.claim();
    expect(jobs).toMatchObject([{ jobId: id, attempt: 1, runLease: 2 }]);
    await u.settle(jobs, 'cancelled');
    expect(await u.holder('a')).toBeUndefined();
  });

  it('gives way to the job that has the key by now, without harm to the rest', async () => {
    const [lost, back] = [await bury('a'), await bury('b')];
    const newer = await u.put('a');
    expect(await retry(lost, back)).toEqual({ retried: [back], cancelled: [lost] });
    expect(await u.holder('a')).toBe(newer.id);
    expect(await u.state(newer.id)).toBe('available');
    expect(await u.state(back)).toBe('available');
    const job = await getJob(u.port, SCHEMA, lost);
    expect(job).toMatchObject({ state: 'cancelled', deadLetter: false });
    expect(JSON.parse(job!.payloadJson!)).toMatchObject({
      errors: [
        { error: 'why' },
        { error: `cancelled: job ${newer.id} holds its unique key`, terminal: true },
      ],
    });
  });

  it('of two with one key brings back the first', async () => {
    const [one, two] = [await bury('a'), await bury('a')];
    expect(await retry(two, one)).toEqual({ retried: [one], cancelled: [two] });
    expect(await u.holder('a')).toBe(one);
  });

  it('that is rolled back leaves key and dead letter as they were', async () => {
    const id = await bury('a');
    const client = await database.client();
    await client.query('BEGIN');
    expect(await retryDeadLetters(new PgAdapter(client), SCHEMA, [id], true, {})).toMatchObject({
      retried: [id],
    });
    await client.query('ROLLBACK');
    expect(await u.holder('a')).toBeUndefined();
    expect(await getJob(u.port, SCHEMA, id)).toMatchObject({ state: 'failed', deadLetter: true });
  });
});
