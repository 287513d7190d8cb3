import { expect, test } from 'vitest';
import { useTestDatabase } from '../../support/test-database.js';
import { replayAttempts } from './attempts.js';

const database = useTestDatabase();

test('the engine does what the model of attempts does', async () => {
  const report = await replayAttempts(database, true);

  // Whatever the seeds are: a kind of step that no walk took was not compared.
  expect(Object.keys(report.kinds).sort()).toEqual([
    'Aborted',
    'Beat',
    'Began',
    'Born',
    'CancelBegan',
    'ClaimBegan',
    'CloseBegan',
    'Committed',
    'Died',
    'OverdueBegan',
    'Promoted',
    'ReleaseBegan',
    'RescueBegan',
    'Returned',
    'SavedState',
    'Stale',
    'Unanswered',
    'WentStale',
  ]);
}, 120_000);
