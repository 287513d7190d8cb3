import { Inject, Injectable, Scope } from '@nestjs/common';
import { REQUEST } from '@nestjs/core';
import { defineJob, type Job, JobHandler, type JobOf } from 'nestjs-awa';
import { beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';

import { deferred, until } from '../support/signals.js';
import { handlerOf, jobIn, type TestApp, useTestApps } from '../support/test-app.js';
import { useTestDatabase } from '../support/test-database.js';

const Typed = defineJob('typed', {
  schema: z.object({
    at: z.iso.datetime().transform((iso) => new Date(iso)),
    times: z.number().default(3),
  }),
});
const Loose = defineJob<{ n?: number; s?: string }, 'evolving'>('evolving');
const Strict = defineJob('evolving', { schema: z.object({ n: z.number() }) });
const Broken = defineJob('broken', {
  schema: {
    '~standard': {
      version: 1 as const,
      vendor: 'test',
      types: undefined as { input: string; output: string } | undefined,
      validate: (value: unknown) => {
        if (value === 'explode') throw new Error('the schema itself is broken');
        return { value: String(value) };
      },
    },
  },
});
const Unknown = defineJob<number, 'unknown'>('unknown');
const Scoped = defineJob<number, 'scoped'>('scoped');

describe('what a handler gets', () => {
  const database = useTestDatabase();
  const apps = useTestApps(database);
  let producer: TestApp;

  beforeEach(async () => {
    producer = await apps.start({ worker: false });
  });

  it("is the schema's output, while the input is what is stored", async () => {
    const seen = deferred<JobOf<typeof Typed>>();
    await apps.start({ handlers: [handlerOf(Typed, (job) => seen.resolve(job))] });
    const { id } = await producer.queue.enqueue(Typed, { at: '2026-01-02T03:04:05Z' });
    const { args } = await seen.promise;
    expect(args).toStrictEqual({ at: new Date('2026-01-02T03:04:05Z'), times: 3 });
    const stored = await jobIn('completed', producer.queue, id);
    expect(stored.args).toStrictEqual({ at: '2026-01-02T03:04:05Z' });
  });

  it('comes with a context that names the attempt', async () => {
    const seen = deferred<object>();
    await apps.start({ handlers: [handlerOf(Loose, (_, context) => seen.resolve(context))] });
    const { id } = await producer.queue.enqueue(Loose, {});
    expect(await seen.promise).toMatchObject({
      jobId: id,
      attempt: 1,
      runLease: 1,
      signal: { aborted: false },
    });
    await jobIn('completed', producer.queue, id);
  });

  it('does not come at all when stored arguments no longer fit: the job fails, no attempt counted', async () => {
    let calls = 0;
    // As the release before had it.
    const { id } = await producer.queue.enqueue(Loose, { s: 'old' });
    const { id: good } = await producer.queue.enqueue(Loose, { n: 1 });
    await apps.start({ handlers: [handlerOf(Strict, () => (calls += 1))] });
    const job = await jobIn('failed', producer.queue, id);
    expect(job).toMatchObject({ attempt: 0, runLease: 1, args: { s: 'old' } });
    expect(job.errors).toEqual([
      expect.objectContaining({ terminal: true, error: expect.stringMatching(/evolving[^]*n: /) }),
    ]);
    await jobIn('completed', producer.queue, good);
    expect(calls).toBe(1);
  });

  it('is retried when the schema itself throws: that says nothing about the arguments', async () => {
    await apps.start({ handlers: [handlerOf(Broken, () => undefined)] });
    // Around the schema, which would throw at the enqueue too.
    const { id } = await producer.queue.enqueue(defineJob<string>('broken'), 'explode');
    const job = await jobIn('retryable', producer.queue, id);
    expect(job.errors).toMatchObject([{ attempt: 1, error: expect.stringContaining('itself is broken') }]);
  });

  it('goes back when nobody knows the kind, without burning an attempt', async () => {
    await apps.start({ handlers: [handlerOf(Loose, () => undefined)] });
    const { id } = await producer.queue.enqueue(Unknown, 1, { maxAttempts: 1 });
    const { id: second } = await producer.queue.enqueue(Unknown, 2, { maxAttempts: 1 });
    const job = await jobIn('scheduled', producer.queue, id);
    await jobIn('scheduled', producer.queue, second);
    expect(job).toMatchObject({ attempt: 0, runLease: 1, errors: [] });
    expect(job.runAt.getTime()).toBeGreaterThan(job.createdAt.getTime() + 700);
    expect(apps.logs.filter((line) => line.includes('no handler for jobs of kind "unknown"'))).toHaveLength(
      1,
    );

    // A process that knows it gets it when it is due, as the first attempt.
    const seen = deferred<Job<number>>();
    await apps.start({ handlers: [handlerOf(Unknown, (known) => known.id === id && seen.resolve(known))] });
    await database.query('UPDATE awa.deferred_jobs SET run_at = now() WHERE job_id = $1', [id]);
    await until(
      async () => {
        // Both processes may claim it; the one that does not know it puts it back each time.
        await database.query('UPDATE awa.deferred_jobs SET run_at = now() WHERE job_id = $1', [id]);
        return (await producer.queue.getJob(id))?.state === 'completed';
      },
      { what: 'the job being done by the process that knows it' },
    );
    expect(await seen.promise).toMatchObject({ args: 1, attempt: 1 });
  });
});

const instances: Job[] = [];

@JobHandler(Scoped)
@Injectable({ scope: Scope.REQUEST })
class ScopedHandler {
  constructor(@Inject(REQUEST) private readonly request: Job) {
    instances.push(request);
  }

  handle(job: JobOf<typeof Scoped>) {
    if (this.request !== job) throw new Error('the request is not the job');
  }
}

describe('a request-scoped handler', () => {
  const apps = useTestApps(useTestDatabase());

  it('is made anew for each job, which is its request', async () => {
    const { queue } = await apps.start({ handlers: [ScopedHandler] });
    const jobs = await queue.enqueueMany(Scoped, [1, 2, 3]);
    for (const { id } of jobs) await jobIn('completed', queue, id);
    expect(new Set(instances.map(({ args }) => args))).toEqual(new Set([1, 2, 3]));
    expect(new Set(instances).size).toBe(3);
  });
});
