import { defineJob, type JobDefinition } from 'nestjs-awa';
import { Client } from 'pg';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { HandlerGate } from '../support/handler-gate.js';
import { jobCounts } from '../support/job-counts.js';
import { until } from '../support/signals.js';
import { handlerOf, jobIn, type TestApp, useTestApps } from '../support/test-app.js';
import { useTestDatabase } from '../support/test-database.js';

/** The poll cannot help within the time of a test: everything has to be woken by what it waits for. */
const NO_POLL = { pollIntervalMs: 60_000 };

describe('limits of a worker', () => {
  const database = useTestDatabase();
  const apps = useTestApps(database);
  let A: JobDefinition<number, number>;
  let B: JobDefinition<number, number>;
  let a: HandlerGate;
  let b: HandlerGate;
  let producer: TestApp;
  let tests = 0;
  /** Names of the statements that this process has sent. */
  let statements: string[];

  const numbers = (length: number, first = 0) => Array.from({ length }, (_, n) => first + n);
  const handlers = () => [handlerOf(A, a.handle), handlerOf(B, b.handle)];
  const handlersOfA = () => [handlerOf(A, a.handle)];
  const claims = () => statements.filter((name) => name.endsWith('_claim_jobs')).length;

  beforeEach(async () => {
    tests += 1;
    A = defineJob<number>(`a ${tests}`, { queue: `a ${tests}` });
    B = defineJob<number>(`b ${tests}`, { queue: `b ${tests}` });
    [a, b] = [new HandlerGate(), new HandlerGate()];
    producer = await apps.start({ worker: false, queues: { [A.queue]: {}, [B.queue]: {} } });
    statements = [];
    // Typed by its many overloads; the library calls it with one object, or with a text.
    // oxlint-disable-next-line typescript/unbound-method -- called with the client as its `this` below
    const query = Client.prototype.query as (this: Client, ...given: unknown[]) => unknown;
    vi.spyOn(Client.prototype, 'query').mockImplementation(function (this: Client, ...given: unknown[]) {
      const [first] = given;
      if (typeof first === 'object' && first !== null && 'name' in first) statements.push(String(first.name));
      return query.apply(this, given);
    });
  });

  // Before the applications are closed, which would wait for what is held.
  afterEach(() => {
    a.open();
    b.open();
    vi.restoreAllMocks();
  });

  async function running(gate: HandlerGate, count: number): Promise<void> {
    await until(async () => gate.running === count, { what: `${count} jobs running` });
  }

  async function allCompleted(queue: string, jobs: number): Promise<void> {
    await until(async () => (await jobCounts(producer.queue, queue)).completed === jobs, {
      what: `${jobs} jobs of ${queue} being completed`,
      timeoutMs: 20_000,
    });
  }

  describe('that shares one pool', () => {
    it('gives an idle queue’s share to the busy one, and takes it back as slots are freed', async () => {
      const Heard = defineJob<number>(`heard ${tests}`, { queue: `heard ${tests}` });
      await producer.queue.enqueueMany(A, numbers(40));
      const { queue } = await apps.start({
        queues: { [A.queue]: {}, [B.queue]: { weight: 3 }, [Heard.queue]: { minWorkers: 1 } },
        worker: { ...NO_POLL, globalMaxWorkers: 9 },
        handlers: [...handlers(), handlerOf(Heard, () => undefined)],
      });
      await running(a, 8);
      await producer.queue.enqueueMany(B, numbers(40));
      // Notifications come in order: when this one has run, the worker has heard of the others.
      await jobIn('completed', queue, (await queue.enqueue(Heard, 1)).id);
      for (let freed = 1; freed <= 6; freed++) {
        a.letGo();
        await running(b, freed);
        expect(a.running).toBe(8 - freed);
      }
      // Both have their shares now, 2 and 6: what is freed goes to its own queue.
      const started = a.started.length;
      a.letGo();
      await until(async () => a.started.length === started + 1, { what: 'the next of a' });
      expect([a.running, b.running]).toEqual([2, 6]);
      b.letGo(3);
      await until(async () => b.started.length === 9, { what: 'the next of b' });
      expect([a.running, b.running]).toEqual([2, 6]);
      a.open();
      b.open();
      await allCompleted(A.queue, 40);
      await allCompleted(B.queue, 40);
      expect(a.most).toBe(8);
      expect(b.most).toBeLessThanOrEqual(8);
    });

    it('keeps minWorkers free for their queue', async () => {
      await producer.queue.enqueueMany(A, numbers(40));
      await apps.start({
        queues: { [A.queue]: {}, [B.queue]: { minWorkers: 2 } },
        worker: { ...NO_POLL, globalMaxWorkers: 6 },
        handlers: handlers(),
      });
      await running(a, 4);
      await producer.queue.enqueueMany(B, numbers(10));
      await running(b, 2);
      expect([a.running, a.most]).toEqual([4, 4]);
      b.letGo();
      await until(async () => b.started.length === 3, { what: 'the next of b' });
      expect(a.running).toBe(4);
    });

    it('has every queue come round when there is one slot', async () => {
      await producer.queue.enqueueMany(A, numbers(60));
      await producer.queue.enqueueMany(B, numbers(60));
      a.open();
      b.open();
      await apps.start({
        queues: { [A.queue]: { weight: 2 }, [B.queue]: {} },
        worker: { ...NO_POLL, globalMaxWorkers: 1 },
        handlers: handlers(),
      });
      await until(async () => a.started.length === 60, { what: 'a being done' });
      const meanwhile = b.startedAt.filter((at) => at < (a.startedAt.at(-1) ?? 0)).length;
      expect(meanwhile).toBeGreaterThanOrEqual(26);
      expect(meanwhile).toBeLessThanOrEqual(33);
      await allCompleted(B.queue, 60);
      expect(b.started).toEqual(numbers(60));
    });
  });

  describe('on a kind', () => {
    const limited = (concurrency: number) =>
      defineJob<number>(`limited ${tests}`, { queue: A.queue, concurrency });

    it('runs so many of it, and the other kinds of the queue behind it', async () => {
      const Limited = limited(2);
      const gate = new HandlerGate();
      const jobs = await producer.queue.enqueueMany(Limited, numbers(12), { maxAttempts: 1 });
      await producer.queue.enqueueMany(A, numbers(20));
      a.open();
      await apps.start({
        queues: { [A.queue]: { maxWorkers: 4 } },
        worker: NO_POLL,
        handlers: [handlerOf(Limited, gate.handle), ...handlersOfA()],
      });
      await running(gate, 2);
      await until(async () => a.started.length === 20, { what: 'the other kind being done' });
      expect(gate.running).toBe(2);
      // None waits in the process for longer than a moment, while its kind does not get on.
      await until(async () => (await jobCounts(producer.queue, A.queue)).scheduled === 10, {
        what: 'the others being set aside',
      });
      expect((await jobCounts(producer.queue, A.queue)).running).toBe(2);
      gate.open();
      for (const { id } of jobs) {
        expect(await jobIn('completed', producer.queue, id, 30_000)).toMatchObject({
          attempt: 1,
          errors: [],
        });
      }
      expect(gate.most).toBe(2);
      expect(gate.started.toSorted((x, y) => x - y)).toEqual(numbers(12));
    }, 60_000);

    it('keeps a short one at work', async () => {
      const Limited = limited(1);
      let [now, most] = [0, 0];
      await apps.start({
        queues: { [A.queue]: { maxWorkers: 10 } },
        worker: NO_POLL,
        handlers: [
          handlerOf(Limited, async () => {
            most = Math.max(most, ++now);
            await database.query('SELECT 1');
            now -= 1;
          }),
          ...handlersOfA(),
        ],
      });
      await producer.queue.enqueueMany(Limited, numbers(300));
      await allCompleted(A.queue, 300);
      expect(most).toBe(1);
    }, 30_000);
  });

  it('on the rate: starts at most max + burst in any time, and all in the end, without polling', async () => {
    a.open();
    await apps.start({
      queues: { [A.queue]: { rateLimit: { max: 20, perMs: 500, burst: 5 } } },
      worker: NO_POLL,
      handlers: handlersOfA(),
    });
    await producer.queue.enqueueMany(A, numbers(45));
    await allCompleted(A.queue, 45);
    const times = a.startedAt;
    const took = (times.at(-1) ?? 0) - (times[0] ?? 0);
    expect(took).toBeGreaterThan(900);
    for (const [first, at] of times.entries()) {
      const inTime = times.filter((other, index) => index >= first && other < at + 500).length;
      expect(inTime).toBeLessThanOrEqual(26);
    }
    // A claim for the tokens that have come together, or one for each: not one for every turn of the loop.
    expect(claims()).toBeGreaterThan(10);
    expect(claims()).toBeLessThanOrEqual(60);
    expect(a.started).toEqual(numbers(45));
  });

  it('gives the token of a job back that was not run', async () => {
    const Limited = defineJob<number>(`limited ${tests}`, { queue: A.queue, concurrency: 1 });
    const gate = new HandlerGate();
    const { queue } = await apps.start({
      // The third token comes in a minute.
      queues: { [A.queue]: { rateLimit: { max: 1, perMs: 60_000, burst: 2 } } },
      worker: NO_POLL,
      handlers: [handlerOf(Limited, gate.handle), ...handlersOfA()],
    });
    a.open();
    await queue.enqueueMany(Limited, numbers(2));
    await running(gate, 1);
    await until(async () => (await jobCounts(queue, A.queue)).scheduled === 1, {
      what: 'one being set aside',
    });
    const { id } = await queue.enqueue(A, 1);
    expect(await jobIn('completed', queue, id)).toMatchObject({ attempt: 1 });
    gate.open();
  });

  it('lets one queue wait for its tokens while the other goes on', async () => {
    a.open();
    b.open();
    await producer.queue.enqueueMany(A, numbers(10));
    await producer.queue.enqueueMany(B, numbers(300));
    await apps.start({
      queues: { [A.queue]: { rateLimit: { max: 1, perMs: 60_000 } }, [B.queue]: {} },
      worker: { ...NO_POLL, globalMaxWorkers: 1 },
      handlers: handlers(),
    });
    await allCompleted(B.queue, 300);
    expect(a.started).toEqual([0]);
    const { available, running: held } = await jobCounts(producer.queue, A.queue);
    expect([available, held]).toEqual([9, 0]);
  });

  describe('and jobs claimed ahead', () => {
    /** Has the worker know that jobs of `a` are short, and then hold `workers` of them. */
    async function startAhead(workers: number): Promise<{ app: TestApp; ids: readonly string[] }> {
      a.open();
      b.open();
      const app = await apps.start({
        queues: { [A.queue]: { maxWorkers: workers }, [B.queue]: {} },
        worker: NO_POLL,
        handlers: handlers(),
      });
      await producer.queue.enqueueMany(A, numbers(60, 1_000));
      await allCompleted(A.queue, 60);
      a.close();
      a.started.length = 0;
      const jobs = await producer.queue.enqueueMany(A, numbers(30));
      return { app, ids: jobs.map(({ id }) => id) };
    }

    it('never runs more than maxWorkers, and gives back what cannot start soon', async () => {
      const { ids } = await startAhead(4);
      await until(async () => (await jobCounts(producer.queue, A.queue)).running > 4, {
        what: 'jobs claimed ahead',
      });
      expect(a.running).toBe(4);
      await until(async () => (await jobCounts(producer.queue, A.queue)).running === 4, {
        what: 'their being handed back',
      });
      expect(await producer.queue.getJob(ids[4] ?? '')).toMatchObject({
        state: 'available',
        attempt: 0,
        errors: [],
      });
      expect(a.started).toEqual([0, 1, 2, 3]);
      // And takes none ahead of time while the handlers are slow.
      a.letGo();
      await until(async () => a.started.length === 5, { what: 'the next job' });
      expect((await jobCounts(producer.queue, A.queue)).running).toBe(4);
      expect(a.most).toBe(4);
    });

    it('hands them back untouched when it stops', async () => {
      const { app, ids } = await startAhead(4);
      await until(async () => (await jobCounts(producer.queue, A.queue)).running > 4, {
        what: 'jobs claimed ahead',
      });
      const closing = app.close();
      await until(async () => (await jobCounts(producer.queue, A.queue)).available === 26, {
        what: 'what has not begun being available',
      });
      a.open();
      await closing;
      expect(a.started).toEqual([0, 1, 2, 3]);
      for (const id of ids.slice(4)) {
        expect(await producer.queue.getJob(id)).toMatchObject({ state: 'available', attempt: 0, errors: [] });
      }
    });

    it('does not start one that was cancelled', async () => {
      const { ids } = await startAhead(4);
      await until(async () => (await jobCounts(producer.queue, A.queue)).running > 4, {
        what: 'jobs claimed ahead',
      });
      await producer.queue.cancelJob(ids[5] ?? '');
      // Notifications come in order: when this one has run, the worker has heard of the cancel.
      await jobIn('completed', producer.queue, (await producer.queue.enqueue(B, 1)).id);
      a.open();
      await until(async () => a.started.length === 29, { what: 'the others having run' });
      expect(a.started).not.toContain(5);
      expect(await producer.queue.getJob(ids[5] ?? '')).toMatchObject({ state: 'cancelled' });
      expect(apps.logs.filter((line) => line.includes('had been taken away'))).toEqual([]);
    });
  });

  it('asks for four queues with one claim', async () => {
    const kinds = numbers(4).map((n) => defineJob<number>(`${n} of ${tests}`, { queue: `${n} of ${tests}` }));
    const queues = Object.fromEntries(kinds.map(({ queue }) => [queue, { maxWorkers: 10 }]));
    const jobs = await apps.start({ worker: false, queues });
    for (const kind of kinds) await jobs.queue.enqueueMany(kind, numbers(5));
    const gates = kinds.map(() => new HandlerGate());
    await apps.start({
      queues,
      worker: NO_POLL,
      handlers: kinds.map((kind, n) => handlerOf(kind, gates[n]?.handle ?? a.handle)),
    });
    await Promise.all(gates.map((gate) => running(gate, 5)));
    const { rows } = await database.query<{ claims: number; transactions: number }>(
      `SELECT count(*)::int AS claims, count(DISTINCT c.xmin::text)::int AS transactions FROM awa.lease_claims c
       JOIN awa.queue_lanes l USING (lane_id) WHERE l.queue = ANY ($1::text[])`,
      [Object.keys(queues)],
    );
    expect(rows).toEqual([{ claims: 4, transactions: 1 }]);
    for (const gate of gates) gate.open();
  });

  it('looks less and less often when idle, for all queues at once, and never ceases to', async () => {
    await apps.start({
      queues: { [A.queue]: {}, [B.queue]: {} },
      worker: { pollIntervalMs: 10 },
      handlers: handlers(),
    });
    const times: number[] = [];
    await until(
      async () => {
        while (times.length < claims()) times.push(performance.now());
        return times.length >= 20;
      },
      { what: '20 looks at nothing' },
    );
    const since = (look: number) => (times[19] ?? 0) - (times[look] ?? 0);
    // Up to 25 times the interval, and that is reached with the sixth look.
    expect(since(9)).toBeGreaterThan(10 * 150);
    expect(since(0)).toBeLessThan(since(9) * 2);
  });

  it('claims nothing while all workers are busy, however much is announced', async () => {
    await producer.queue.enqueueMany(A, numbers(10));
    b.open();
    await apps.start({
      queues: { [A.queue]: { maxWorkers: 2 }, [B.queue]: {} },
      worker: NO_POLL,
      handlers: handlers(),
    });
    await running(a, 2);
    const { id: first } = await producer.queue.enqueue(B, 0);
    await jobIn('completed', producer.queue, first);
    const before = claims();
    expect(before).toBeGreaterThan(0);
    for (let n = 0; n < 30; n++) await producer.queue.enqueue(A, 100 + n);
    // Announced after the others: when it is done, they have been heard of.
    const { id } = await producer.queue.enqueue(B, 1);
    await jobIn('completed', producer.queue, id);
    expect(claims() - before).toBeLessThanOrEqual(3);
    expect(a.running).toBe(2);
  });
});
