import type { Client } from 'pg';
import { type ReplayDatabase, type ReplayReport, specFile } from '../models.js';
import { QuintModel, type Step } from '../quint-model.js';
import { countKinds, replay } from './replay.js';
import { RotationEngine } from './rotation-engine.js';

/** As many slots as the ready ring has, and enough generations to come around it. */
const BOUNDS = { DEFECT: 'none', LEADERS: 2, SLOTS: 8, GENERATIONS: 60, COARSE: true };

/** Replays walks of `rotation` with rotate_ring() and prune_ring(), by two leaders with open transactions. */
export async function replayRotation(
  database: ReplayDatabase,
  short: boolean,
  walks = short ? 3 : 20,
): Promise<ReplayReport> {
  const model = await QuintModel.load(specFile('rotation'), 'rotation', BOUNDS);
  const clients: Client[] = [];
  const steps: Step[] = [];
  for (let seed = 1; seed <= walks; seed++) {
    const engine = await RotationEngine.open(database, BOUNDS, clients);
    try {
      steps.push(...(await replay(model, engine, { seed, steps: 250, sameOperation: isSamePrune })));
    } finally {
      await engine.close();
    }
  }
  return { walks, steps: steps.length, kinds: countKinds(steps.map(inDetail)) };
}

/** Whether a rotation that is open keeps a prune from its tables is Postgres' choice: it depends on how a statement was planned. */
function isSamePrune(step: Step, other: Step): boolean {
  const [a, b] = [step, other].map(({ value }) => value as unknown as { leader: number; generation: number });
  return (
    step.tag === 'Pruned' &&
    other.tag === 'Pruned' &&
    a?.leader === b?.leader &&
    a?.generation === b?.generation
  );
}

function inDetail(step: Step): Step {
  const { answer, done } = step.value as unknown as { readonly answer?: string; readonly done?: boolean };
  if (done !== undefined) return { ...step, tag: done ? 'Pruned' : 'Not pruned' };
  return answer === undefined || answer === '' ? step : { ...step, tag: answer };
}
