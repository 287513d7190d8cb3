import { expect, test } from 'vitest';
import { useTestDatabase } from '../../support/test-database.js';
import { replayWindows, SITUATIONS } from './windows.js';

const database = useTestDatabase();

test('the engine does what the model of windows does', async () => {
  const report = await replayWindows(database, true);

  expect(report.reached).toEqual(SITUATIONS);
  // Whatever the seeds are: a kind of step that no walk took was not compared.
  expect(Object.keys(report.kinds).sort()).toEqual([
    'Aborted',
    'Began',
    'CameTooLate',
    'Cancelled',
    'ClaimAborted',
    'ClaimCommitted',
    'Claimed',
    'ClaimsPruned',
    'ClaimsRotated',
    'Committed',
    'Completed',
    'Contended',
    'Inserted',
    'OtherCommitted',
    'PruneRefused',
    'PruneWaited',
    'Pruned',
    'ReadyRotated',
  ]);
}, 120_000);
