import { specFile, type ReplayDatabase, type ReplayReport } from '../models.js';
import { QuintModel, type Step } from '../quint-model.js';
import { LARGE } from '../specs/attempts.bounds.js';
import { AttemptsEngine, openConnections } from './attempts-engine.js';
import { countKinds, replay } from './replay.js';

const STEPS = 120;

/** More of what makes work, less of what changes nothing. */
const WEIGHTS = {
  Beat: 0.1,
  CancelBegan: 0.3,
  Died: 0.4,
  WentStale: 0.6,
  Aborted: 0.6,
  SavedState: 0.6,
  Born: 0.5,
  ClaimBegan: 2,
  Committed: 2,
  CloseBegan: 2,
  Began: 3,
  OverdueBegan: 3,
};

/** Replays walks of `attempts` by the operations that the runtime calls, on connections with transactions that stay open. */
export async function replayAttempts(
  database: ReplayDatabase,
  short: boolean,
  walks = short ? 10 : 60,
): Promise<ReplayReport> {
  const model = await QuintModel.load(specFile('attempts'), 'attempts', { DEFECT: 'none', ...LARGE });
  const connections = await openConnections(database);
  const taken: Step[] = [];
  for (let seed = 1; seed <= walks; seed++) {
    const engine = await AttemptsEngine.open(connections, {
      jobs: Number(LARGE['JOBS']),
      instances: Number(LARGE['INSTANCES']),
      maxAttempts: Number(LARGE['MAX_ATTEMPTS']),
    });
    try {
      await engine.perform(model.step(model.initial()[0]!));
      taken.push(...(await replay(model, engine, { seed, steps: STEPS, weights: WEIGHTS })));
    } finally {
      await engine.close();
    }
  }
  return { walks, steps: taken.length, kinds: countKinds(taken) };
}
