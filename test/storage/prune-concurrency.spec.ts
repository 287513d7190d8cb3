import { expect, it } from 'vitest';
import { completeAttempts } from '../../lib/storage/operations/close-attempts.js';
import { PgAdapter } from '../../lib/storage/adapters/pg.adapter.js';
import { enqueueJobs } from '../../lib/storage/operations/enqueue-jobs.js';
import { listRingSegments, pruneRing, rotateRing } from '../../lib/storage/operations/rings.js';
import { newJob, SCHEMA } from '../support/storage-fixture.js';
import { useTestDatabase } from '../support/test-database.js';
import { useUniqueFixture } from '../support/unique-fixture.js';

const database = useTestDatabase();
const u = useUniqueFixture(database);

it.each(['ready', 'claim'] as const)(
  'prunes one slot at a time of the %s ring, and waits for nobody',
  async (ring) => {
    const segments = async () =>
      (await listRingSegments(u.port, SCHEMA)).filter((each) => each.ring === ring);
    const sealed = [];
    for (let turn = 0; turn < 2; turn++) {
      await enqueueJobs(u.port, SCHEMA, [newJob(u.queue)]);
      await completeAttempts(u.port, SCHEMA, await u.claim());
      const segment = (await segments()).at(-1)!;
      expect(await rotateRing(u.port, SCHEMA, segment)).toBeUndefined();
      sealed.push(segment);
    }
    const first = await database.client();
    await first.query('BEGIN');
    expect(await pruneRing(new PgAdapter(first), SCHEMA, sealed[0]!)).toBeUndefined();
    const second = await database.client();
    await second.query("SET statement_timeout = '2s'");
    expect(await pruneRing(new PgAdapter(second), SCHEMA, sealed[1]!)).toBe('somebody else is pruning');
    await first.query('COMMIT');
    expect(await pruneRing(new PgAdapter(second), SCHEMA, sealed[1]!)).toBeUndefined();
  },
);
