import { cancel, complete, defineJob, fail, JobOutcome, retryAfter, snooze } from 'nestjs-awa';
import { describe, expect, it } from 'vitest';

import { handlerOf, jobIn, useTestApps } from '../support/test-app.js';
import { useTestDatabase } from '../support/test-database.js';

const Work = defineJob<number, 'work'>('work', { retry: { baseMs: 60_000 } });

describe('an outcome', () => {
  const database = useTestDatabase();
  const apps = useTestApps(database);

  /** Both ways to say it. */
  const ways: [way: string, tell: (outcome: JobOutcome) => unknown][] = [
    ['returned', (outcome) => outcome],
    ['thrown', (outcome) => Promise.reject(outcome)],
    [
      'thrown synchronously',
      (outcome) => {
        throw outcome as unknown as Error;
      },
    ],
  ];

  describe.each(ways)('that is %s', (_, tell) => {
    it('fails for good, whatever attempts are left', async () => {
      const { queue } = await apps.start({ handlers: [handlerOf(Work, () => tell(fail('gone')))] });
      const { id } = await queue.enqueue(Work, 1, { maxAttempts: 10 });
      const job = await jobIn('failed', queue, id);
      expect(job).toMatchObject({ attempt: 1, errors: [{ attempt: 1, error: 'gone', terminal: true }] });
    });

    it('cancels', async () => {
      const { queue } = await apps.start({ handlers: [handlerOf(Work, () => tell(cancel('unwanted')))] });
      const { id } = await queue.enqueue(Work, 1);
      const job = await jobIn('cancelled', queue, id);
      expect(job).toMatchObject({ attempt: 1, errors: [{ error: 'unwanted', terminal: true }] });
    });

    it('completes', async () => {
      const { queue } = await apps.start({ handlers: [handlerOf(Work, () => tell(complete()))] });
      const { id } = await queue.enqueue(Work, 1);
      expect(await jobIn('completed', queue, id)).toMatchObject({ attempt: 1, errors: [] });
    });

    it('snoozes, and gives the attempt back', async () => {
      const { queue } = await apps.start({ handlers: [handlerOf(Work, () => tell(snooze(90_000)))] });
      const { id } = await queue.enqueue(Work, 1, { maxAttempts: 1 });
      const job = await jobIn('scheduled', queue, id);
      expect(job).toMatchObject({ attempt: 0, runLease: 1, errors: [] });
      const { rows } = await database.query<{ seconds: number }>(
        `SELECT extract(epoch FROM d.run_at - x.closed_at)::float8 AS seconds FROM awa.deferred_jobs d
         JOIN awa.lease_claims c ON d.job_id = ANY (c.job_ids)
         JOIN awa.lease_claim_closures x ON x.lane_id = c.lane_id AND x.claim_seq = c.claim_seq WHERE d.job_id = $1`,
        [id],
      );
      expect(rows).toEqual([{ seconds: 90 }]);
    });

    it('retries after its own delay, as an attempt that failed', async () => {
      const { queue } = await apps.start({
        handlers: [handlerOf(Work, () => tell(retryAfter(45_000, 'busy')))],
      });
      const { id } = await queue.enqueue(Work, 1);
      const job = await jobIn('retryable', queue, id);
      expect(job).toMatchObject({ attempt: 1, errors: [{ attempt: 1, error: 'busy', terminal: false }] });
      expect(job.runAt.getTime()).toBe(Date.parse(job.errors[0]?.at ?? '') + 45_000);
    });

    it('does not retry after the last attempt', async () => {
      const { queue } = await apps.start({ handlers: [handlerOf(Work, () => tell(retryAfter(1)))] });
      const { id } = await queue.enqueue(Work, 1, { maxAttempts: 1 });
      expect(await jobIn('failed', queue, id)).toMatchObject({ attempt: 1, errors: [{ terminal: true }] });
    });
  });

  it('may be to snooze again and again: attempts neither run out nor overflow', async () => {
    const attempts: number[] = [];
    const handler = handlerOf(Work, ({ attempt, runLease }) => {
      attempts.push(attempt);
      return runLease < 20 ? snooze(0) : undefined;
    });
    const { queue } = await apps.start({ handlers: [handler] });
    const { id } = await queue.enqueue(Work, 1, { maxAttempts: 1 });
    expect(await jobIn('completed', queue, id)).toMatchObject({ attempt: 1, runLease: 20, errors: [] });
    expect(attempts).toEqual(Array.from({ length: 20 }, () => 1));
  });

  it('is not made by any other value', async () => {
    const values = [undefined, null, 0, '', 'fail', { type: 'fail' }, [fail], Symbol('x'), () => fail('x')];
    const { queue } = await apps.start({ handlers: [handlerOf(Work, ({ args }) => values[args])] });
    const jobs = await queue.enqueueMany(Work, [...values.keys()]);
    for (const { id } of jobs) {
      expect(await jobIn('completed', queue, id)).toMatchObject({ attempt: 1, errors: [] });
    }
  });
});
