import { defineJob, type JobSnapshot } from 'nestjs-awa';
import { describe, expect, it } from 'vitest';

import { until } from '../support/signals.js';
import { handlerOf, jobIn, useTestApps } from '../support/test-app.js';
import { useTestDatabase } from '../support/test-database.js';

const Default = defineJob<number, 'default_policy'>('default_policy');
const Quick = defineJob<number, 'quick'>('quick', {
  maxAttempts: 3,
  retry: { baseMs: 10, factor: 1, jitter: 0 },
});
const Exact = defineJob<number, 'exact'>('exact', {
  retry: { baseMs: 1000, factor: 3, jitter: 0, maxMs: 20_000 },
});
const ByFunction = defineJob<number, 'by_function'>('by_function', {
  retry: (attempt, error) => (error instanceof TypeError ? 7_000 : attempt * 1_000),
});
const BadFunction = defineJob<number, 'bad_function'>('bad_function', {
  retry: () => {
    throw new Error('the policy is broken');
  },
});

describe('a failed attempt', () => {
  const database = useTestDatabase();
  const apps = useTestApps(database);

  interface Wait {
    /** Seconds from the failure, as the history has it, to the next attempt. */
    readonly seconds: number;
    readonly attempt: number;
  }

  /** How long a job waits, by the database's own clock and columns. */
  async function waiting(id: string, attempt: number): Promise<Wait> {
    return until(
      async () => {
        const { rows } = await database.query<Wait>(
          `SELECT extract(epoch FROM d.run_at - (d.payload->'errors'->-1->>'at')::timestamptz)::float8 AS seconds, d.attempt
           FROM awa.deferred_jobs d WHERE d.job_id = $1 AND d.state = 'retryable' AND d.attempt = $2`,
          [id, attempt],
        );
        return rows[0];
      },
      { what: `attempt ${attempt} having failed` },
    );
  }

  async function makeDue(id: string): Promise<void> {
    await database.query('UPDATE awa.deferred_jobs SET run_at = now() WHERE job_id = $1', [id]);
  }

  it('waits 2^n seconds and up to a quarter more, without a policy', async () => {
    const failing = handlerOf(Default, () => {
      throw new Error('no luck');
    });
    const { queue } = await apps.start({ handlers: [failing] });
    const { id } = await queue.enqueue(Default, 1);
    for (let attempt = 1; attempt <= 5; attempt++) {
      const { seconds } = await waiting(id, attempt);
      expect(seconds).toBeGreaterThanOrEqual(2 ** attempt);
      expect(seconds).toBeLessThanOrEqual(2 ** attempt * 1.25 + 0.001);
      await makeDue(id);
    }
  });

  it('spreads the delays, and never exceeds a day', async () => {
    const { rows } = await database.query<{ least: number; most: number; delays: number; late: number }>(
      `SELECT extract(epoch FROM min(awa.retry_delay(3)))::float8 AS least,
        extract(epoch FROM max(awa.retry_delay(3)))::float8 AS most,
        count(DISTINCT awa.retry_delay(3))::int AS delays,
        extract(epoch FROM max(awa.retry_delay(1000)))::float8 AS late FROM generate_series(1, 1000)`,
    );
    expect(rows[0]?.least).toBeGreaterThanOrEqual(8);
    expect(rows[0]?.most).toBeLessThanOrEqual(10);
    expect(rows[0]?.delays).toBeGreaterThan(900);
    expect(rows[0]?.late).toBe(86_400);
  });

  it("follows the definition's policy object", async () => {
    const failing = handlerOf(Exact, () => Promise.reject(new Error('no luck')));
    const { queue } = await apps.start({ handlers: [failing] });
    const { id } = await queue.enqueue(Exact, 1);
    for (const [attempt, seconds] of [3, 9, 20].entries()) {
      expect((await waiting(id, attempt + 1)).seconds).toBeCloseTo(seconds, 2);
      await makeDue(id);
    }
  });

  it("follows the definition's policy function", async () => {
    let calls = 0;
    const failing = handlerOf(ByFunction, () => {
      throw ++calls === 2 ? new TypeError('of another type') : new Error('no luck');
    });
    const { queue } = await apps.start({ handlers: [failing] });
    const { id } = await queue.enqueue(ByFunction, 1);
    for (const [attempt, seconds] of [1, 7, 3].entries()) {
      expect((await waiting(id, attempt + 1)).seconds).toBeCloseTo(seconds, 2);
      await makeDue(id);
    }
  });

  it('takes the default delay when the policy function throws', async () => {
    const failing = handlerOf(BadFunction, () => Promise.reject(new Error('no luck')));
    const { queue } = await apps.start({ handlers: [failing] });
    const { id } = await queue.enqueue(BadFunction, 1);
    const { seconds } = await waiting(id, 1);
    expect(seconds).toBeGreaterThanOrEqual(2);
    expect(seconds).toBeLessThanOrEqual(2.501);
    expect(await queue.getJob(id)).toMatchObject({ errors: [{ error: expect.stringContaining('no luck') }] });
  });

  it('is kept in the history, and the last one ends the job as failed', async () => {
    const seen: number[] = [];
    const failing = handlerOf(Quick, ({ attempt, errors }) => {
      seen.push(errors.length);
      throw new Error(`failure ${attempt}`);
    });
    const { queue } = await apps.start({ handlers: [failing] });
    const { id } = await queue.enqueue(Quick, 1);
    const job: JobSnapshot = await jobIn('failed', queue, id);
    expect(job).toMatchObject({ attempt: 3, maxAttempts: 3, runLease: 3, args: 1 });
    expect(job.errors.map(({ attempt, terminal }) => ({ attempt, terminal }))).toEqual([
      { attempt: 1, terminal: false },
      { attempt: 2, terminal: false },
      { attempt: 3, terminal: true },
    ]);
    for (const [index, { error, at }] of job.errors.entries()) {
      expect(error).toContain(`failure ${index + 1}`);
      expect(new Date(at).toISOString()).toBe(at);
    }
    expect(seen).toEqual([0, 1, 2]);
    const { rows } = await database.query('SELECT FROM awa.deferred_jobs WHERE job_id = $1', [id]);
    expect(rows).toEqual([]);
  });

  it('is forgotten by the outcome: a job that succeeds at last is completed, with its history', async () => {
    const flaky = handlerOf(Quick, ({ attempt }) => {
      if (attempt < 3) throw new Error(`failure ${attempt}`);
    });
    const { queue } = await apps.start({ handlers: [flaky] });
    const { id } = await queue.enqueue(Quick, 1);
    const job = await jobIn('completed', queue, id);
    expect(job).toMatchObject({ attempt: 3, errors: [{ attempt: 1 }, { attempt: 2 }] });
  });
});
