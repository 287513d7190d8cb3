import { countKinds, replay } from './replay.js';
import { specFile, type ReplayDatabase, type ReplayReport } from '../models.js';
import { QuintModel, type State, type Step } from '../quint-model.js';
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

const STEPS = 80;

/** More of what makes work, less of what changes nothing. */
const WEIGHTS = {
  PruneWaited: 8,
  Inserted: 3,
  Committed: 2,
  Claimed: 3,
  ClaimCommitted: 3,
  Contended: 0.3,
  PruneRefused: 0.3,
  ClaimAborted: 0.3,
  CameTooLate: 0.3,
};

/** What has to be among what is replayed: all witnesses of the model. */
export const SITUATIONS = [
  'buried_passed',
  'cursor_carried',
  'late_committer_claimed',
  'open_claim_carried',
  'prune_refused_at_last',
  'row_written_to_a_sealed_slot',
  'slot_emptied',
  'window_left_open',
];

/** Replays walks of `windows` against the functions that the runtime calls, on connections with transactions that stay open. */
export async function replayWindows(
  database: ReplayDatabase,
  short: boolean,
  walks = short ? 12 : 40,
): Promise<ReplayReport> {
  const model = await QuintModel.load(specFile('windows'), 'windows', BOUNDS);
  const connections: Connections = { producers: [], claimers: [] };
  const steps: Step[] = [];
  const reached = new Set<string>();
  const onState = (state: State): void => {
    for (const situation of SITUATIONS) if (model.holds(situation, state)) reached.add(situation);
  };
  for (let seed = 1; seed <= walks; seed++) {
    await emptyTables(database);
    const engine = await WindowsEngine.open(database, BOUNDS, connections);
    try {
      steps.push(
        ...(await replay(model, engine, {
          seed,
          steps: STEPS,
          weights: WEIGHTS,
          project: projectWindows,
          onState,
        })),
      );
    } finally {
      await engine.close();
    }
  }
  return { walks, steps: steps.length, kinds: countKinds(steps), reached: [...reached].sort() };
}
