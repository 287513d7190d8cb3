import { countKinds, replay } from './replay.js';
import { specFile, type ReplayDatabase, type ReplayReport } from '../models.js';
import { QuintModel, type Step } from '../quint-model.js';
import { emptyTables } from '../../support/storage-fixture.js';
import { type Connections, WindowsEngine } from './windows-engine.js';
import { projectWindows } from './windows-facts.js';

/** As many slots as the engine has; more jobs and transactions than the explorer could go through. */
const BOUNDS = {
  DEFECT: 'none',
  PRODUCERS: 3,
  TRANSACTIONS: 12,
  JOBS: 20,
  CLAIMERS: 2,
  LIMIT: 2,
  READY_SLOTS: 8,
  CLAIM_SLOTS: 4,
  COARSE: true,
};

/** Replays walks of `windows` against the functions that the runtime calls, on connections with transactions that stay open. */
export async function replayWindows(
  database: ReplayDatabase,
  short: boolean,
  walks = short ? 12 : 120,
): Promise<ReplayReport> {
  const model = await QuintModel.load(specFile('windows'), 'windows', BOUNDS);
  const connections: Connections = { producers: [], claimers: [] };
  const steps: Step[] = [];
  for (let seed = 1; seed <= walks; seed++) {
    await emptyTables(database);
    const engine = await WindowsEngine.open(database, BOUNDS, connections);
    try {
      steps.push(...(await replay(model, engine, { seed, steps: 80, project: projectWindows })));
    } finally {
      await engine.close();
    }
  }
  return { walks, steps: steps.length, kinds: countKinds(steps) };
}
