import {
  InvalidOptionsError,
  JOB_STATES,
  type JobFilter,
  type JobSnapshot,
  type QueueService,
} from 'nestjs-awa';
import { beforeEach, describe, expect, it } from 'vitest';
import { PgAdapter } from '../../lib/storage/adapters/pg.adapter.js';
import { completeAttempts, settleAttempts } from '../../lib/storage/operations/close-attempts.js';
import { enqueueJobs } from '../../lib/storage/operations/enqueue-jobs.js';
import { promoteDeferred } from '../../lib/storage/operations/promote-deferred.js';
import { listRingSegments, pruneRing, rotateRing } from '../../lib/storage/operations/rings.js';
import type { SqlPort } from '../../lib/storage/sql-port.js';
import { registerDeadLetterQueue, settleNew } from '../dlq/dead-letter-fixture.js';
import {
  claimJobs,
  emptyTables,
  newJob,
  openLane,
  registerTestQueue,
  SCHEMA,
} from '../support/storage-fixture.js';
import { until } from '../support/signals.js';
import { useTestApps } from '../support/test-app.js';
import { useTestDatabase } from '../support/test-database.js';

const database = useTestDatabase();
const apps = useTestApps(database);

let port: SqlPort;
let queue: string;
let instanceId: string;
let service: QueueService;

beforeEach(async () => {
  await emptyTables(database);
  ({ port, queue, instanceId } = await openLane(database));
  service = (await apps.start({ worker: false })).queue;
});

async function pages(filter: JobFilter, limit: number): Promise<JobSnapshot[]> {
  const all: JobSnapshot[] = [];
  let cursor: string | undefined;
  do {
    const page = await service.listJobs(filter, { limit, cursor });
    expect(page.items.length).toBeLessThanOrEqual(limit);
    all.push(...page.items);
    cursor = page.cursor;
  } while (cursor !== undefined);
  return all;
}

const claim = (from: string, limit = 512) => claimJobs(port, SCHEMA, instanceId, [{ queue: from, limit }]);
const put = (count: number, into = queue, overrides = {}) =>
  enqueueJobs(
    port,
    SCHEMA,
    Array.from({ length: count }, (_, n) => newJob(into, { priority: 1 + (n % 4), ...overrides })),
  );

/** Jobs in every state and of every history, in two queues and over two slots of the ring. @returns all ids, oldest first. */
async function everything(): Promise<{ ids: string[]; dead: string }> {
  const dead = await registerDeadLetterQueue(port);
  const ids: string[] = [];
  for (let round = 0; round < 2; round++) {
    for (const into of [queue, dead]) {
      ids.push(...(await put(30, into)), ...(await put(3, into, { delayMs: 3_600_000 })));
      for (let turn = 0; turn < 6; turn++) {
        const jobs = await claim(into, 7);
        const outcomes = ['failed', 'cancelled', 'error', 'error', 'released', 'snoozed'] as const;
        await settleAttempts(
          port,
          SCHEMA,
          jobs.slice(0, outcomes.length - 1).map((job, n) => ({
            job,
            outcome: outcomes[(n + turn) % outcomes.length]!,
            error: undefined,
            delayMs: n % 2 === 0 ? 0 : 3_600_000,
          })),
        );
        await completeAttempts(port, SCHEMA, jobs.slice(5, 6));
        await promoteDeferred(port, SCHEMA, 100);
      }
    }
    const segment = (await listRingSegments(port, SCHEMA)).find(
      ({ ring, sealedAgoMs }) => ring === 'ready' && sealedAgoMs === undefined,
    );
    await rotateRing(port, SCHEMA, segment!);
  }
  return { ids, dead };
}

const isWaiting = async () =>
  (
    await database.query(
      "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query ~ 'list_jobs|count_jobs'",
    )
  ).rowCount === 1;

describe('listJobs', () => {
  it.each([1, 3, 50, 1_000])(
    'gives each job once, and as getJob gives it, over pages of %i',
    async (limit) => {
      const { ids, dead } = await everything();
      const truth = (await Promise.all(ids.map((id) => service.getJob(id)))).map((job) => job!);
      expect(new Set(truth.map(({ state }) => state))).toEqual(new Set(JOB_STATES));
      const newest = truth.toReversed();
      expect(await pages({}, limit)).toEqual(newest);
      for (const name of [queue, dead]) {
        expect(await pages({ queue: name }, limit)).toEqual(newest.filter((job) => job.queue === name));
        for (const state of JOB_STATES) {
          const listed = await pages({ queue: name, state }, limit);
          const expected = newest.filter((job) => job.queue === name && job.state === state);
          // Those two have an order of their own.
          const isById = state !== 'available' && state !== 'completed';
          expect(isById ? listed : listed.toSorted((a, b) => Number(b.id) - Number(a.id))).toEqual(expected);
        }
      }
      for (const state of JOB_STATES) {
        const listed = await pages({ state }, limit);
        expect(listed.map(({ id }) => id).toSorted()).toEqual(
          truth
            .filter((job) => job.state === state)
            .map(({ id }) => id)
            .toSorted(),
        );
      }
    },
    120_000,
  );

  it('lists available jobs in the reverse order of their claims', async () => {
    await put(6, queue, { priority: 2 });
    const late = await put(2, queue, { priority: 2 });
    const listed = (await pages({ queue, state: 'available' }, 3)).map(({ id }) => id);
    expect(listed.slice(0, 2)).toEqual(late.toReversed());
    expect((await claim(queue)).map(({ jobId }) => jobId)).toEqual(listed.toReversed());
  });

  it.each([1, 2, 5, 100])(
    'lists completed jobs by their completion, also when many have one, over pages of %i',
    async (limit) => {
      const ids: string[] = [];
      for (let flush = 0; flush < 4; flush++) {
        await put(3, queue, { priority: 1 });
        await put(3, queue, { priority: 3 });
        const jobs = (await claim(queue)).toReversed();
        await completeAttempts(port, SCHEMA, jobs);
        ids.unshift(...jobs.map(({ jobId }) => jobId).toSorted((a, b) => Number(b) - Number(a)));
      }
      expect((await pages({ state: 'completed' }, limit)).map(({ id }) => id)).toEqual(ids);
      // All in one moment: by id.
      await database.query(
        "UPDATE awa.completion_batches SET completed_at = '2026-01-02 03:04:05.678901+00'",
      );
      expect((await pages({ state: 'completed' }, limit)).map(({ id }) => id)).toEqual(
        ids.toSorted((a, b) => Number(b) - Number(a)),
      );
    },
  );

  it('goes on behind more batches than a page looks at, in the order of all lanes', async () => {
    const [old] = (await put(1, queue, { priority: 3 })) as [string];
    await completeAttempts(port, SCHEMA, await claim(queue));
    const ids = await put(460, queue, { priority: 1 });
    for (const job of await claim(queue)) await completeAttempts(port, SCHEMA, [job]);
    const newest = [...ids.toReversed(), old];
    expect((await pages({ queue, state: 'completed' }, 450)).map(({ id }) => id)).toEqual(newest);
    // More batches of one moment than a page looks at.
    await database.query("UPDATE awa.completion_batches SET completed_at = '2026-01-02 03:04:05.678901+00'");
    expect((await pages({ queue, state: 'completed' }, 100)).map(({ id }) => id)).toEqual(newest);
  });

  it('gives what is in the filter', async () => {
    const plain = await put(2);
    const tagged = await put(2, queue, { kind: 'other', payloadJson: '{"tags":["red"]}' });
    const later = await put(1, queue, { delayMs: 60_000 });
    const ids = async (filter: JobFilter) => (await pages(filter, 10)).map(({ id }) => id).toSorted();
    expect(await ids({ kind: 'other' })).toEqual(tagged);
    expect(await ids({ kind: 'other', state: 'available' })).toEqual(tagged);
    expect(await ids({ tag: 'red' })).toEqual(tagged);
    expect(await ids({ tag: 'green' })).toEqual([]);
    expect(await ids({ state: 'scheduled', kind: 'test' })).toEqual(later);
    expect(await ids({ id: [plain[0]!, tagged[0]!, plain[0]!, '987654'] })).toEqual([plain[0], tagged[0]]);
    expect(await ids({ id: [plain[0]!, later[0]!], state: 'scheduled' })).toEqual(later);
    expect(await ids({ id: plain[1]!, queue: 'default' })).toEqual([]);
    const at = new Date('2026-01-01T00:00:00.000Z');
    await database.query('UPDATE awa.ready_entries SET created_at = $1 WHERE job_id = $2', [
      at.toISOString(),
      plain[0],
    ]);
    expect(await ids({ createdFrom: at, createdTo: new Date(at.getTime() + 1) })).toEqual([plain[0]]);
    expect(await ids({ createdTo: at })).toEqual([]);
    expect(await ids({ createdFrom: new Date(at.getTime() + 1), state: 'available' })).toEqual([
      plain[1],
      ...tagged,
    ]);
  });

  it('looks at a bounded number of jobs, and goes on from there', async () => {
    const [wanted] = await put(1, queue, { kind: 'rare' });
    await put(5_200, queue, { priority: 2 });
    for (const filter of [{ kind: 'rare' }, { kind: 'rare', state: 'available' as const }]) {
      const first = await service.listJobs(filter);
      expect(first.items.length + (first.cursor === undefined ? 0 : 1)).toBe(1);
      expect((await pages(filter, 50)).map(({ id }) => id)).toEqual([wanted]);
    }
  });

  it('gets past a job with more attempts than a page looks at', async () => {
    const [old] = await put(1);
    const [restless] = (await put(1)) as [string];
    for (let turn = 0; turn < 110; turn++) {
      const jobs = await claim(queue);
      await settleAttempts(
        port,
        SCHEMA,
        jobs.map((job) => ({ job, outcome: 'released' as const, error: undefined, delayMs: 0 })),
      );
    }
    const listed = await pages({}, 1);
    expect(listed.map(({ id, runLease }) => [id, runLease])).toEqual([
      [restless, 110],
      [old, 110],
    ]);
  });

  it('does not show what is not kept any more', async () => {
    const dead = await registerDeadLetterQueue(port);
    const [id] = await settleNew(port, instanceId, dead);
    await database.query('DELETE FROM awa.dlq_entries WHERE job_id = $1', [id]);
    expect(await pages({}, 10)).toEqual([]);
    expect(await pages({ id: id! }, 10)).toEqual([]);
  });

  it('holds back no prune once it has answered, and is not misled by one that runs', async () => {
    await put(20);
    await completeAttempts(port, SCHEMA, await claim(queue));
    const segment = (await listRingSegments(port, SCHEMA)).findLast(({ ring }) => ring === 'ready')!;
    expect(await rotateRing(port, SCHEMA, segment)).toBeUndefined();
    expect(await service.listJobs({ state: 'completed' })).toMatchObject({ items: { length: 20 } });
    const blocker = await database.ownerClient();
    await blocker.query('BEGIN');
    await blocker.query(`LOCK TABLE awa.ready_entries_${segment.slot} IN ACCESS EXCLUSIVE MODE`);
    const listing = service.listJobs({ queue });
    try {
      await until(isWaiting, { what: 'the list waiting' });
      await blocker.query(
        `TRUNCATE awa.ready_entries_${segment.slot}, awa.completion_batches_${segment.slot}`,
      );
    } finally {
      await blocker.query('COMMIT');
    }
    expect((await listing).items).toEqual([]);
    expect(await pruneRing(port, SCHEMA, segment)).toBeUndefined();
  });

  it.each([
    ['a list', () => service.listJobs({ queue }), { items: [{ state: 'running', runLease: 1 }] }],
    ['a count', () => service.countJobs(queue), { running: { count: 1, exact: true } }],
  ] as const)('does not lose a claim that a prune carries on while %s waits', async (_, read, expected) => {
    await put(1);
    await claim(queue);
    const segment = (await listRingSegments(port, SCHEMA)).findLast(({ ring }) => ring === 'claim')!;
    expect(await rotateRing(port, SCHEMA, segment)).toBeUndefined();
    const pruner = await database.client();
    await pruner.query('BEGIN');
    expect(await pruneRing(new PgAdapter(pruner), SCHEMA, segment)).toBeUndefined();
    const reading = read();
    try {
      await until(isWaiting, { what: 'the reading waiting' });
    } finally {
      await pruner.query('COMMIT');
    }
    expect(await reading).toMatchObject(expected);
  });

  it.each([
    ['an unknown state', { state: 'done' as never }, {}],
    ['an unknown condition', Object.assign<JobFilter, object>({}, { name: 'x' }), {}],
    ['a bad id', { id: 'x' }, {}],
    ['no id', { id: [] }, {}],
    ['an empty queue', { queue: '' }, {}],
    ['a time that is none', { createdFrom: new Date(Number.NaN) }, {}],
    ['a limit of 0', {}, { limit: 0 }],
    ['a limit of 1001', {}, { limit: 1_001 }],
    ['a made-up cursor', {}, { cursor: 'eyJ9' }],
    ['a cursor of another order', {}, { cursor: Buffer.from('completed:1:1').toString('base64url') }],
  ])('refuses %s', async (_, filter: JobFilter, page) => {
    await expect(service.listJobs(filter, page)).rejects.toThrow(InvalidOptionsError);
  });
});

describe('countJobs', () => {
  it('counts every state exactly up to the cap', async () => {
    const { ids, dead } = await everything();
    const truth = await Promise.all(ids.map((id) => service.getJob(id)));
    for (const name of [queue, dead]) {
      const counts = await service.countJobs(name);
      for (const state of JOB_STATES) {
        const expected = truth.filter((job) => job?.queue === name && job.state === state).length;
        expect([state, counts[state]]).toEqual([state, { count: expected, exact: true }]);
      }
    }
  });

  it('says when it has estimated, and is about right, also beside a larger queue', async () => {
    const other = await registerTestQueue(port);
    const exactly = (count: number) => ({ count, exact: true });
    // Claimed rows before, and rows of another queue between, those to count.
    await put(400);
    await completeAttempts(port, SCHEMA, await claim(queue));
    for (let turn = 0; turn < 20; turn++) {
      await put(900, other);
      await put(100, queue, { priority: 2 });
    }
    await put(200, queue, { delayMs: 3_600_000 });
    const counts = await service.countJobs(queue, { cap: 100 });
    expect(counts.available.exact).toBe(false);
    expect(counts.available.count).toBeGreaterThan(1_000);
    expect(counts.available.count).toBeLessThan(3_000);
    expect(counts.completed).toEqual({ count: 400, exact: false });
    expect(counts.scheduled).toEqual({ count: 200, exact: false });
    expect(counts.retryable).toEqual(exactly(0));
    expect((await service.countJobs(queue, { cap: 2_000 })).available).toEqual(exactly(2_000));
    expect((await service.countJobs(queue, { cap: 1_999 })).available.exact).toBe(false);
  });

  it('leaves claimed jobs out of the estimate, also behind one that waits', async () => {
    await put(1, queue, { priority: 4 });
    await put(3_000, queue, { priority: 1 });
    for (let turn = 0; turn < 6; turn++) await claim(queue, 500);
    await put(300, queue, { priority: 1 });
    const { available, running } = await service.countJobs(queue, { cap: 100 });
    expect(available.exact).toBe(false);
    expect(available.count).toBeGreaterThan(200);
    expect(available.count).toBeLessThan(500);
    expect(running).toEqual({ count: 3_000, exact: true });
  });

  it.each([0, 1.5, 1_000_001, '5' as never])('refuses a cap of %s', async (cap) => {
    await expect(service.countJobs('default', { cap })).rejects.toThrow(InvalidOptionsError);
  });
});

describe('oldestWaitingAge', () => {
  it('is that of the job that is next in its lane, where that is longest', async () => {
    expect(await service.oldestWaitingAge(queue)).toBeNull();
    const [old] = await put(1, queue, { priority: 4, runAt: new Date(Date.now() - 3_600_000) });
    await put(5, queue, { priority: 1 });
    await put(1, queue, { delayMs: 60_000 });
    const age = await service.oldestWaitingAge(queue);
    expect(age).toBeGreaterThanOrEqual(3_590_000);
    expect(age).toBeLessThan(3_700_000);
    const jobs = await claim(queue);
    expect(jobs.map(({ jobId }) => jobId)).toContain(old);
    expect(await service.oldestWaitingAge(queue)).toBeNull();
  });
});
