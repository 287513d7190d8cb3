import { specFile, type ReplayReport } from '../models.js';
import { QuintModel, type Bounds, type Step } from '../quint-model.js';
import { AttemptsEngine, type ReplayDatabase } from './attempts-engine.js';
import { countKinds, replay } from './replay.js';

/** Walks through the attempts model, each of its steps done for real. */
export async function replayAttempts(
  database: ReplayDatabase,
  bounds: Bounds,
  { walks, steps }: { readonly walks: number; readonly steps: number },
): Promise<ReplayReport> {
  const model = await QuintModel.load(specFile('attempts'), 'attempts', { DEFECT: 'none', ...bounds });
  const taken: Step[] = [];
  for (let seed = 1; seed <= walks; seed++) {
    const engine = await AttemptsEngine.open(database, {
      jobs: Number(bounds['JOBS']),
      instances: Number(bounds['INSTANCES']),
      maxAttempts: Number(bounds['MAX_ATTEMPTS']),
    });
    try {
      await engine.perform(model.step(model.initial()[0]!));
      taken.push(...(await replay(model, engine, { seed, steps })));
    } finally {
      await engine.close();
    }
  }
  return { walks, steps: taken.length, kinds: countKinds(taken) };
}
