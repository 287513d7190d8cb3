import { expect, it } from 'vitest';
import { useTestDatabase } from '../../support/test-database.js';
import { replayRotation } from './rotation.js';

const database = useTestDatabase();

it('two leaders turn the ready ring as the model says', { timeout: 120_000 }, async () => {
  const { kinds } = await replayRotation(database, true);
  // Each of these was done for real.
  expect(Object.keys(kinds)).toEqual(
    expect.arrayContaining([
      'Committed',
      'RolledBack',
      'Waited',
      'Pruned',
      'nothing to seal',
      'no free slot',
      'somebody else has rotated',
    ]),
  );
});
