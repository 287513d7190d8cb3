import { expect, test } from 'vitest';
import { useTestDatabase } from '../../support/test-database.js';
import { replayUniqueness } from './uniqueness.js';

const database = useTestDatabase();

test('the engine does what the model of uniqueness does', { timeout: 60_000 }, async () => {
  const { kinds } = await replayUniqueness(database, true);

  // Whatever the seeds are: a kind of step that no walk took was not compared.
  const compared = [
    'CancelledJob',
    'CancelledKey',
    'Claimed',
    'Committed',
    'Completed',
    'Enqueued',
    'Fixed',
    'Marked',
    'Promoted',
    'Rescued',
    'Resumed',
    'Retried',
    'RolledBack',
    'Rotated',
    'Settled',
    'Tampered',
    'Unmarked',
  ];
  expect(Object.keys(kinds)).toEqual(expect.arrayContaining(compared));
});
