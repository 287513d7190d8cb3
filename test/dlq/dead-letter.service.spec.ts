import { beforeEach, describe, expect, it } from 'vitest';
import {
  type DeadLetter,
  DeadLetterService,
  InvalidOptionsError,
  type QueueService,
  UnknownQueueError,
} from 'nestjs-awa';
import { completeAttempts, settleAttempts } from '../../lib/storage/operations/close-attempts.js';
import { purgeExpiredDeadLetters } from '../../lib/storage/operations/purge-dead-letters.js';
import type { SqlPort } from '../../lib/storage/sql-port.js';
import { until } from '../support/signals.js';
import { claimJobs, openLane, registerTestQueue, SCHEMA } from '../support/storage-fixture.js';
import { useTestApps } from '../support/test-app.js';
import { useTestDatabase } from '../support/test-database.js';
import { DAY_MS, registerDeadLetterQueue, settleNew } from './dead-letter-fixture.js';

const database = useTestDatabase();
const apps = useTestApps(database);

let port: SqlPort;
let queue: string;
let instanceId: string;
let letters: DeadLetterService;
let jobs: QueueService;

beforeEach(async () => {
  await database.query('TRUNCATE awa.dlq_entries');
  ({ port, queue, instanceId } = await openLane(database, { deadLetterMs: 30 * DAY_MS }));
  const app = await apps.start({ worker: false });
  letters = app.app.get(DeadLetterService);
  jobs = app.queue;
});

const kill = (count = 1, overrides = {}) => settleNew(port, instanceId, queue, count, 'failed', overrides);
const claim = (from = queue) => claimJobs(port, SCHEMA, instanceId, [{ queue: from, limit: 512 }]);

/** Every page, checked to be no longer than the limit. */
async function pages(limit: number, filter = {}): Promise<DeadLetter[]> {
  const all: DeadLetter[] = [];
  let cursor: string | undefined;
  do {
    const page = await letters.list(filter, { limit, cursor });
    expect(page.items.length).toBeLessThanOrEqual(limit);
    all.push(...page.items);
    cursor = page.cursor;
  } while (cursor !== undefined);
  return all;
}

describe('list', () => {
  it.each([1, 2, 3, 7, 100])(
    'gives each once over pages of %i, with equal times and in several lanes',
    async (limit) => {
      const other = await registerDeadLetterQueue(port);
      const ids = [
        ...(await kill(5)),
        ...(await kill(3, { priority: 4 })),
        ...(await settleNew(port, instanceId, other, 4)),
      ];
      await database.query(
        "UPDATE awa.dlq_entries SET dlq_at = '2026-01-02 03:04:05.678901+00' WHERE job_id % 4 > 0",
      );
      const listed = await pages(limit);
      expect(listed.map(({ id }) => id).toSorted()).toEqual(ids.toSorted());
      const order = listed.map(({ dlqAt, id }) => [dlqAt.getTime(), Number(id)] as const);
      expect(order).toEqual(order.toSorted((a, b) => b[0] - a[0] || b[1] - a[1]));
    },
  );

  it('gives what is in the filter, and all of it', async () => {
    const plain = await kill(2);
    const tagged = await kill(2, { kind: 'other', payloadJson: '{"tags":["red","blue"]}' });
    const ids = async (filter: object) => (await letters.list(filter)).items.map(({ id }) => id).toSorted();
    expect(await ids({ kind: 'other' })).toEqual(tagged);
    expect(await ids({ kind: 'test' })).toEqual(plain);
    expect(await ids({ tag: 'red' })).toEqual(tagged);
    expect(await ids({ tag: 're' })).toEqual([]);
    expect(await ids({ queue })).toEqual([...plain, ...tagged]);
    expect(await ids({ queue: 'default' })).toEqual([]);
    expect(await ids({ reason: 'terminal_error', kind: 'test' })).toEqual(plain);
    expect(await ids({ reason: 'worker_lost' })).toEqual([]);
    expect(await ids({ ids: [plain[0], tagged[0], plain[0]], kind: 'test' })).toEqual([plain[0]]);
    const at = new Date('2026-01-01T00:00:00.000Z');
    await database.query('UPDATE awa.dlq_entries SET dlq_at = $1 WHERE job_id = $2', [
      at.toISOString(),
      plain[0],
    ]);
    expect(await ids({ from: at, to: new Date(at.getTime() + 1) })).toEqual([plain[0]]);
    expect(await ids({ to: at })).toEqual([]);
    expect(await pages(1, { kind: 'other' })).toHaveLength(2);
  });

  it('goes on behind what a filter passes over', async () => {
    const [wanted] = await kill(1, { kind: 'rare' });
    await kill(2_100);
    const first = await letters.list({ kind: 'rare' }, { limit: 10 });
    expect(first.items).toEqual([]);
    expect(first.cursor).toBeDefined();
    expect((await pages(10, { kind: 'rare' })).map(({ id }) => id)).toEqual([wanted]);
  });
});

describe('get', () => {
  it('gives the whole job, and null for one that is not held', async () => {
    const [id] = (await kill(1, { argsJson: '{"n":1}', payloadJson: '{"tags":["red"]}' })) as [string];
    expect(await letters.get(id)).toMatchObject({
      id,
      queue,
      kind: 'test',
      args: { n: 1 },
      tags: ['red'],
      state: 'failed',
      deadLetter: true,
      reason: 'terminal_error',
      attempt: 1,
      errors: [{ error: 'why' }],
    });
    expect(await letters.get('999999')).toBeNull();
  });
});

describe('retry', () => {
  it('counts attempts anew, and its lease goes on: the job is run again, once', async () => {
    const [id] = (await kill(1, { maxAttempts: 2 })) as [string];
    expect(await letters.retry(id)).toBe(true);
    expect(await letters.get(id)).toBeNull();
    expect(await jobs.getJob(id)).toMatchObject({
      state: 'available',
      deadLetter: false,
      attempt: 0,
      maxAttempts: 2,
    });
    const [job, ...more] = await claim();
    expect(more).toEqual([]);
    expect(job).toMatchObject({ jobId: id, attempt: 1, runLease: 2 });
    expect(await jobs.getJob(id)).toMatchObject({
      state: 'running',
      attempt: 1,
      runLease: 2,
      errors: [{ error: 'why' }],
    });
    await completeAttempts(port, SCHEMA, [job!]);
    expect(await jobs.getJob(id)).toMatchObject({ state: 'completed', attempt: 1, runLease: 2 });
    expect(await letters.retry(id)).toBe(false);
  });

  it('dies again with another reason, as a new entry', async () => {
    const [id] = (await kill(1, { maxAttempts: 1 })) as [string];
    await letters.retry(id);
    const [job] = await claim();
    await settleAttempts(port, SCHEMA, [{ job: job!, outcome: 'error', error: 'again', delayMs: 0 }]);
    expect(await letters.get(id)).toMatchObject({
      reason: 'max_attempts_exhausted',
      runLease: 2,
      errors: [{ error: 'why' }, { error: 'again' }],
    });
  });

  it('takes another queue, priority, number of attempts and time', async () => {
    const other = await registerTestQueue(port);
    const [now, later, at] = (await kill(3)) as [string, string, string];
    await letters.retry(now, { queue: other, priority: 1, maxAttempts: 7 });
    expect((await claim(other))[0]).toMatchObject({ jobId: now, priority: 1, maxAttempts: 7, attempt: 1 });
    await letters.retry(later, { delay: 60_000 });
    const job = await jobs.getJob(later);
    expect(job).toMatchObject({ state: 'scheduled', queue, priority: 2, attempt: 0 });
    expect(job!.runAt.getTime() - Date.now()).toBeGreaterThan(50_000);
    const runAt = new Date(Date.now() + DAY_MS);
    await letters.retry(at, { runAt, queue: other });
    expect(await jobs.getJob(at)).toMatchObject({ state: 'scheduled', runAt, queue: other });
  });

  it('wakes the workers of the queue', async () => {
    const [id] = (await kill()) as [string];
    const listener = await database.client();
    const heard: (string | undefined)[] = [];
    listener.on('notification', ({ payload }) => heard.push(payload));
    await listener.query(`LISTEN "${SCHEMA.channel}"`);
    await letters.retry(id);
    await until(async () => heard.length > 0, { what: 'a notification' });
    expect(heard).toEqual([queue]);
  });

  it('is part of the transaction of the caller, and gone with it', async () => {
    const [id] = (await kill()) as [string];
    const client = await database.client();
    await client.query('BEGIN');
    expect(await letters.retry(id, { client })).toBe(true);
    expect(await letters.get(id, { client })).toBeNull();
    expect(await claim()).toEqual([]);
    await client.query('ROLLBACK');
    expect(await letters.get(id)).toMatchObject({ id, runLease: 1, reason: 'terminal_error' });
    expect(await jobs.getJob(id)).toMatchObject({ state: 'failed', deadLetter: true });
    expect(await claim()).toEqual([]);
    await client.query('BEGIN');
    await letters.retry(id, { client });
    await client.query('COMMIT');
    expect(await claim()).toMatchObject([{ jobId: id }]);
  });
});

describe('a retry and a purge of one entry', () => {
  const isWaiting = async () =>
    (
      await database.query(
        "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%dead_letters%'",
      )
    ).rowCount === 1;

  it.each([
    ['COMMIT', false],
    ['ROLLBACK', true],
  ] as const)('the second waits for the first, whose %s decides', async (end, secondWins) => {
    const [id] = (await kill()) as [string];
    const client = await database.client();
    await client.query('BEGIN');
    expect(await letters.retry(id, { client })).toBe(true);
    const purge = letters.purge(id);
    await until(isWaiting, { what: 'the purge waiting' });
    await client.query(end);
    expect(await purge).toBe(secondWins);
    expect(await letters.get(id)).toBeNull();
    expect((await claim()).map(({ jobId }) => jobId)).toEqual(secondWins ? [] : [id]);
  });

  it('has one winner each, when all begin at once', async () => {
    const ids = await kill(40);
    const outcomes = await Promise.all(
      ids.map((id, index) =>
        Promise.all(
          index % 2 === 0 ? [letters.retry(id), letters.purge(id)] : [letters.purge(id), letters.retry(id)],
        ),
      ),
    );
    for (const [one, two] of outcomes) expect(one).toBe(!two);
    const retried = outcomes.filter(([one, two], index) => (index % 2 === 0 ? one : two)).length;
    expect(await claim()).toHaveLength(retried);
  });

  it('does not wait with many: the entry is left out, and the answer says so', async () => {
    const ids = (await kill(3)) as [string, string, string];
    const client = await database.client();
    await client.query('BEGIN');
    await letters.purge(ids[1], { client });
    expect(await letters.retryMany({ queue })).toEqual({ matched: 3, done: 2, cancelled: 0 });
    await client.query('ROLLBACK');
    expect((await letters.list({ queue })).items.map(({ id }) => id)).toEqual([ids[1]]);
  });
});

describe('operations on many', () => {
  it('do with every match, in batches, and with nothing else', async () => {
    await kill(1_203);
    await kill(4, { kind: 'other' });
    expect(await letters.retryMany({ kind: 'test' }, { priority: 3, delay: 1_000 })).toEqual({
      matched: 1_203,
      done: 1_203,
      cancelled: 0,
    });
    expect(await letters.depth()).toMatchObject({
      [queue]: { count: 4, exact: true },
      default: { count: 0, exact: true },
    });
    expect(await letters.purgeMany({ kind: 'other', queue: 'default' })).toEqual({ matched: 0, done: 0 });
    expect(await letters.purgeMany({ all: true })).toEqual({ matched: 4, done: 4 });
    expect((await jobs.countJobs(queue)).scheduled).toEqual({ count: 1_203, exact: true });
  });

  it('take each id once', async () => {
    const [one, two] = (await kill(3)) as [string, string];
    expect(await letters.retryMany({ ids: [one, two, one, two, '424242'] })).toEqual({
      matched: 2,
      done: 2,
      cancelled: 0,
    });
    expect((await claim()).map(({ jobId }) => jobId)).toEqual([one, two]);
    expect(await letters.purgeMany({ ids: Array.from({ length: 10_001 }, () => one) })).toEqual({
      matched: 0,
      done: 0,
    });
  });

  it('keep the order of the dead letters', async () => {
    const ids = await kill(5);
    await database.query("UPDATE awa.dlq_entries SET dlq_at = dlq_at - job_id * interval '1 s'");
    await letters.retryMany({ queue });
    // In a lane, jobs of one transaction go by id.
    expect((await claim()).map(({ jobId }) => jobId)).toEqual(ids);
  });

  it('are part of the transaction of the caller', async () => {
    await kill(3);
    const client = await database.client();
    await client.query('BEGIN');
    expect(await letters.purgeMany({ queue }, { client })).toEqual({ matched: 3, done: 3 });
    expect((await letters.depth({ client }))[queue]).toEqual({ count: 0, exact: true });
    await client.query('ROLLBACK');
    expect((await letters.depth())[queue]).toEqual({ count: 3, exact: true });
  });

  it('make dead letters of failed jobs, whatever their queue, and of no others', async () => {
    const plain = await registerTestQueue(port);
    const [failed, tagged] = [
      ...(await settleNew(port, instanceId, plain)),
      ...(await settleNew(port, instanceId, plain, 1, 'invalid', { payloadJson: '{"tags":["red"]}' })),
    ] as [string, string];
    const [cancelled] = (await settleNew(port, instanceId, plain, 1, 'cancelled')) as [string];
    expect(await letters.moveFailed({ queue: plain, tag: 'red' }, { reason: 'mail outage' })).toEqual({
      matched: 1,
      done: 1,
    });
    expect(await letters.moveFailed({ ids: [failed, cancelled, tagged, failed] })).toEqual({
      matched: 1,
      done: 1,
    });
    expect(await letters.get(tagged)).toMatchObject({ reason: 'mail outage', attempt: 0, runLease: 1 });
    expect(await letters.get(failed)).toMatchObject({
      reason: 'moved',
      attempt: 1,
      errors: [{ error: 'why' }],
    });
    expect(await jobs.getJob(failed)).toMatchObject({ state: 'failed', deadLetter: true });
    expect(await jobs.getJob(cancelled)).toMatchObject({ state: 'cancelled', deadLetter: false });
    expect(await letters.retryMany({ queue: plain })).toEqual({ matched: 2, done: 2, cancelled: 0 });
    expect(await jobs.getJob(failed)).toMatchObject({ state: 'available', runLease: 1 });
    expect(await claim(plain)).toMatchObject([{ jobId: failed, runLease: 2 }, { jobId: tagged }]);
  });
});

describe('bad input', () => {
  it.each([
    ['no filter', () => letters.purgeMany({})],
    ['undefined conditions', () => letters.retryMany({ queue: undefined as never })],
    ['all: false', () => letters.retryMany({ all: false })],
    ['all and a condition', () => letters.purgeMany(Object.assign({ all: true as const }, { queue }))],
    ['no ids', () => letters.purgeMany({ ids: [] })],
    ['a bad id', () => letters.purgeMany({ ids: ['1', 'x'] })],
    ['a bad id alone', () => letters.retry('0')],
    ['a number', () => letters.get(1 as never)],
    ['an id that is too large', () => letters.purge('9223372036854775808')],
    ['an unknown condition', () => letters.list({ queu: 'x' } as never)],
    ['a reason for failed jobs', () => letters.moveFailed({ reason: 'x' })],
    ['an empty reason', () => letters.moveFailed({ queue }, { reason: ' ' })],
    ['an invalid time', () => letters.list({ from: new Date(Number.NaN) })],
    ['a limit of 0', () => letters.list({}, { limit: 0 })],
    ['a limit of 1001', () => letters.list({}, { limit: 1001 })],
    ['a made-up cursor', () => letters.list({}, { cursor: 'abc' })],
    [
      'a cursor of another list',
      () => letters.list({}, { cursor: Buffer.from('jobs:0:1').toString('base64url') }),
    ],
    ['a bad override', () => letters.retry('1', { priority: 9 as never })],
    ['both times', () => letters.retryMany({ all: true }, { runAt: new Date(), delay: 1 })],
    ['a bad cap', () => letters.depth({ cap: 0 })],
  ])('refuses %s before a statement', async (_, call) => {
    await kill();
    const client = await database.client();
    await expect(call()).rejects.toThrow(InvalidOptionsError);
    await expect(letters.depth({ client })).resolves.toMatchObject({ [queue]: { count: 1 } });
  });

  it('refuses an unknown queue and leaves the entry and the transaction alone', async () => {
    const [id] = (await kill()) as [string];
    const client = await database.client();
    await client.query('BEGIN');
    await expect(letters.retry(id, { queue: 'nowhere', client })).rejects.toThrow(UnknownQueueError);
    expect(await letters.get(id, { client })).toMatchObject({ id });
    await client.query('COMMIT');
  });
});

describe('retention', () => {
  it('deletes what is older than its queue keeps it, a batch at a time', async () => {
    const brief = await registerDeadLetterQueue(port, DAY_MS);
    const [kept] = (await kill()) as [string];
    const old = await settleNew(port, instanceId, brief, 3);
    await database.query("UPDATE awa.dlq_entries SET dlq_at = clock_timestamp() - interval '25 hours'");
    const [fresh] = (await settleNew(port, instanceId, brief)) as [string];
    expect(await purgeExpiredDeadLetters(port, SCHEMA, 2)).toBe(2);
    expect(await purgeExpiredDeadLetters(port, SCHEMA, 2)).toBe(1);
    expect(await purgeExpiredDeadLetters(port, SCHEMA, 2)).toBe(0);
    expect((await letters.list()).items.map(({ id }) => id)).toEqual([fresh, kept]);
    expect(await jobs.getJob(old[0]!)).toBeNull();
  });

  it('keeps those of a queue that has none any more for 30 days', async () => {
    queue = await registerTestQueue(port);
    const [older, younger] = (await kill(2)) as [string, string];
    await letters.moveFailed({ queue });
    await database.query(
      "UPDATE awa.dlq_entries SET dlq_at = clock_timestamp() - interval '31 days' WHERE job_id = $1",
      [older],
    );
    await database.query(
      "UPDATE awa.dlq_entries SET dlq_at = clock_timestamp() - interval '29 days' WHERE job_id = $1",
      [younger],
    );
    expect(await purgeExpiredDeadLetters(port, SCHEMA, 1_000)).toBe(1);
    expect(await letters.get(younger)).not.toBeNull();
  });
});

it('is configured by the options of the module', async () => {
  await apps.start({ worker: false, queues: { mail: { deadLetter: { retention: 60_000 } }, other: {} } });
  const { rows } = await database.query(
    "SELECT name, dead_letter_retention::text AS retention FROM awa.queues WHERE name IN ('mail', 'other') ORDER BY name",
  );
  expect(rows).toEqual([
    { name: 'mail', retention: '00:01:00' },
    { name: 'other', retention: null },
  ]);
  await expect(
    apps.start({ queues: { mail: { deadLetter: { retention: 0, retain: 1 } as never } } }),
  ).rejects.toThrow(
    /retention must be a whole number[^]*"retain"|"retain"[^]*retention must be a whole number/,
  );
});
