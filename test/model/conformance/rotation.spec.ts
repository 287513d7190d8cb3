import { expect, it } from 'vitest';
import { useTestDatabase } from '../../support/test-database.js';
import { replayRotation } from './rotation.js';

const database = useTestDatabase();

it('two leaders turn the ready ring as the model says', { timeout: 120_000 }, async () => {
  const { kinds } = await replayRotation(database, true);
  for (const kind of ['Committed', 'RolledBack', 'Waited', 'Pruned', 'nothing to seal', 'no free slot']) {
    expect(kinds, kind).toHaveProperty([kind]);
  }
  expect(kinds, 'of those who come too late').toHaveProperty(['somebody else has rotated']);
});
