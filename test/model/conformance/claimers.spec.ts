import { expect, it } from 'vitest';
import { useTestDatabase } from '../../support/test-database.js';
import { replayClaimers } from './claimers.js';

const database = useTestDatabase();

it('claimers of a hot queue do what the model says', { timeout: 120_000 }, async () => {
  const { kinds } = await replayClaimers(database, true);
  // Each of these was done for real; the walks do not change from run to run.
  expect(Object.keys(kinds)).toEqual(
    expect.arrayContaining([
      'Claimed: tookNew',
      'Claimed: tookIdle',
      'Claimed: markedInTime',
      'Claimed: markedTooLate',
      'Claimed: refusedByOthers',
      'Claimed: refusedByLock',
      'FoundNothing: holderMay',
      'Refreshed: tookExpired',
      'Committed: shrank',
      'RolledBack',
      'Died',
    ]),
  );
});
