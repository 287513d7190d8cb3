import { Logger } from '@nestjs/common';
import { StaleAttemptError } from 'nestjs-awa';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import type { ClaimedJob } from '../../lib/storage/operations/claim-jobs.js';
import type { SqlPort } from '../../lib/storage/sql-port.js';
import { AttemptState } from '../../lib/worker/attempt-state.js';
import { AttemptStateWriter } from '../../lib/worker/attempt-state-writer.js';
import { SCHEMA } from '../support/storage-fixture.js';

/** So long that nothing is written before somebody waits for it, in milliseconds. */
const NEVER_MS = 3_600_000;

describe('the writer of progress and checkpoints', () => {
  /** The job ids that each statement named. */
  let statements: string[][];
  let refuse: (jobId: string) => Error | undefined;
  let writer: AttemptStateWriter;

  const port: SqlPort = {
    query: async <Row>(_statement: unknown, parameters: readonly unknown[]) => {
      const ids = (parameters[3] as string).match(/\d+/g) ?? [];
      statements.push(ids);
      const error = ids.map((id) => refuse(id)).find((problem) => problem !== undefined);
      if (error !== undefined) throw error;
      return [] as Row[];
    },
  };

  beforeAll(() => Logger.overrideLogger(false));

  beforeEach(() => {
    statements = [];
    refuse = () => undefined;
    writer = new AttemptStateWriter(port, SCHEMA, NEVER_MS);
    writer.start();
  });

  afterEach(async () => writer.stop());

  function attempt(jobId: string): AttemptState {
    const claim = { laneId: 1, claimSeq: '1' };
    return new AttemptState({ jobId, runLease: 1, claim, item: 1 } as ClaimedJob, writer, () => undefined);
  }

  it('takes along what was only said when somebody waits', async () => {
    const [first, second] = [attempt('1'), attempt('2')];
    first.setProgress(1, undefined);
    await second.checkpoint('x');
    expect(statements).toEqual([['1', '2']]);
    await Promise.all([first.flush(), second.flush()]);
    expect(statements).toHaveLength(1);
  });

  it('stores at once all that was said, when the process is to stop', async () => {
    attempt('1').setProgress(1, undefined);
    await writer.flushed();
    expect(statements).toEqual([['1']]);
  });

  it('forgets attempts that are over', async () => {
    const [over, open] = [attempt('1'), attempt('2')];
    over.setProgress(1, undefined);
    over.close();
    over.setProgress(2, undefined);
    await expect(over.flush()).rejects.toBeInstanceOf(StaleAttemptError);
    await open.checkpoint('x');
    expect(statements).toEqual([['2']]);
  });

  it('lets one that the server does not take hold up nobody', async () => {
    const [good, bad] = [attempt('1'), attempt('2')];
    const refusal = Object.assign(new Error('untranslatable'), { code: '22P05' });
    refuse = (jobId) => (jobId === '2' ? refusal : undefined);
    const results = await Promise.allSettled([good.checkpoint('x'), bad.checkpoint('y')]);
    expect(results).toMatchObject([{ status: 'fulfilled' }, { status: 'rejected', reason: refusal }]);
    refuse = () => undefined;
    await bad.checkpoint('z');
    expect(statements.at(-1)).toEqual(['2']);
  });

  it('spreads large checkpoints over several statements', async () => {
    const data = 'x'.repeat(60_000);
    await Promise.all(Array.from({ length: 40 }, async (_, n) => attempt(String(n)).checkpoint(data)));
    expect(statements.length).toBeGreaterThanOrEqual(3);
    expect(statements.flat()).toHaveLength(40);
  });
});
