import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { useTestApps } from '../support/test-app.js';
import { useTestDatabase } from '../support/test-database.js';
import { anySequence } from './commands/index.js';
import { compareReadings } from './compare.js';
import { finish } from './finish.js';
import { RUNS, SEED } from './settings.js';
import { begin, end, openWorld } from './world.js';

const database = useTestDatabase();
const apps = useTestApps(database);

const STEP_NAMES = [
  'enqueue',
  'begin',
  'commit',
  'rollback',
  'savepoint',
  'rollback to savepoint',
  'claim',
  'complete',
  'settle',
  'race',
  'hold',
  'save',
  'cancel',
  'cancel by key',
  'pause',
  'resume',
  'drain',
  'retry dead letter',
  'purge dead letter',
  'move failed',
  'rotate',
  'prune',
  'prune, overtaken',
  'promote',
  'time',
  'silence',
  'register',
  'rescue',
  'release unknown claims',
  'expire dead letters',
];

/** Sequences in the suite. */
const FEW = 15;

/** Of so many, each step is taken somewhere. */
const MANY = 60;

/** Most steps of a sequence; those that cannot be taken where they stand are left out. */
const MAX_STEPS = 150;

it('does what the reference does, whatever happens in whatever order', { timeout: 3_600_000 }, async () => {
  const world = await openWorld(database, apps);
  await fc.assert(
    fc.asyncProperty(anySequence(MAX_STEPS), async (sequence) => {
      const ref = await begin(world);
      try {
        await fc.asyncModelRun(() => ({ model: ref, real: world }), sequence);
        await compareReadings(ref, world);
        await finish(ref, world);
      } finally {
        await end(world);
      }
    }),
    { numRuns: RUNS ?? FEW, seed: SEED },
  );
  if (RUNS !== undefined) console.log(`seed ${SEED}: ${RUNS} sequences,`, Object.fromEntries(world.seen));
  // A step that is never taken checks nothing.
  const missing = STEP_NAMES.filter((name) => !world.seen.has(name));
  expect(missing.slice((RUNS ?? FEW) < MANY ? 3 : 0)).toEqual([]);
});
