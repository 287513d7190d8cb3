import { expect, it } from 'vitest';
import { useTestDatabase } from '../../support/test-database.js';
import { LARGE } from '../specs/attempts.bounds.js';
import { replayAttempts } from './attempts.replay.js';

const database = useTestDatabase();

it('does to attempts what the model says, step by step', async () => {
  const { kinds } = await replayAttempts(database, LARGE, { walks: 12, steps: 120 });
  // What the random walks must have come to, or the comparison says little.
  expect(Object.keys(kinds)).toEqual(
    expect.arrayContaining([
      'CloseBegan',
      'RescueBegan',
      'OverdueBegan',
      'ReleaseBegan',
      'Unanswered',
      'Aborted',
      'SavedState',
      'Stale',
    ]),
  );
}, 60_000);
