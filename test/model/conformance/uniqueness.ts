import { emptyTables } from '../../support/storage-fixture.js';
import { specFile, type ReplayDatabase, type ReplayReport } from '../models.js';
import { QuintModel, type Step } from '../quint-model.js';
import { LARGE, WEIGHTS } from '../specs/uniqueness.model.js';
import { countKinds, replay } from './replay.js';
import { type Stage, UniquenessEngine } from './uniqueness-engine.js';
import { projectUniqueness } from './uniqueness-facts.js';

/** Replays walks of `uniqueness` against the functions that the runtime calls, on connections with transactions that stay open. */
export async function replayUniqueness(
  database: ReplayDatabase,
  short: boolean,
  walks = short ? 5 : 30,
): Promise<ReplayReport> {
  const model = await QuintModel.load(specFile('uniqueness'), 'uniqueness', {
    ...LARGE,
    DEFECT: 'none',
    EAGER: 1,
  });
  // Sessions that are opened from now on notice soon that they wait in a circle.
  await database.query(
    `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET deadlock_timeout = %L', current_database(), '20ms'); END $$`,
  );
  const stage: Stage = { transactions: [], queues: [] };
  const steps: Step[] = [];
  for (let seed = 1; seed <= walks; seed++) {
    await emptyTables(database);
    const engine = await UniquenessEngine.open(database, LARGE, stage, seed);
    try {
      const options = { seed, steps: 80, weights: WEIGHTS, project: projectUniqueness };
      steps.push(...(await replay(model, engine, options)));
    } finally {
      await engine.close();
    }
  }
  return { walks, steps: steps.length, kinds: countKinds(steps) };
}
