import { type ReplayDatabase, type ReplayReport, specFile } from '../models.js';
import { QuintModel, type Step } from '../quint-model.js';
import { LeadershipEngine, projectLeadership } from './leadership-engine.js';
import { countKinds, replay } from './replay.js';

const BOUNDS = { DEFECT: 'none', PROCESSES: 3, LEASE: 3, PATIENT: false };

/** Replays walks of `leadership` with the lock itself. A session that the server would end for its silence is ended by hand. */
export async function replayLeadership(
  database: ReplayDatabase,
  short: boolean,
  walks = short ? 4 : 20,
): Promise<ReplayReport> {
  const model = await QuintModel.load(specFile('leadership'), 'leadership', BOUNDS);
  const reader = await database.client();
  const steps: Step[] = [];
  for (let seed = 1; seed <= walks; seed++) {
    const engine = await LeadershipEngine.open(database, reader, BOUNDS.PROCESSES);
    try {
      steps.push(...(await replay(model, engine, { seed, steps: 80, project: projectLeadership })));
    } finally {
      await engine.close();
    }
  }
  return { walks, steps: steps.length, kinds: countKinds(steps) };
}
