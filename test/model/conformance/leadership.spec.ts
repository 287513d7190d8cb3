import { expect, it } from 'vitest';
import { useTestDatabase } from '../../support/test-database.js';
import { replayLeadership } from './leadership.js';

const database = useTestDatabase();

it('the leader lock changes hands as the model says', { timeout: 120_000 }, async () => {
  const { kinds } = await replayLeadership(database, true);
  expect(Object.keys(kinds).sort()).toEqual([
    'Heard',
    'PromptBegun',
    'PromptEnded',
    'Resigned',
    'SessionLost',
    'Spoke',
    'StoodStill',
    'Ticked',
    'Tried',
    'Woke',
  ]);
});
