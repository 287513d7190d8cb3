import type { Client } from 'pg';
import { type ReplayDatabase, type ReplayReport, specFile } from '../models.js';
import { type Bounds, QuintModel, type Step } from '../quint-model.js';
import { ClaimersEngine } from './claimers-engine.js';
import { EngineClock } from './engine-clock.js';
import { countKinds, replay } from './replay.js';

/** The times of the engine in ticks of 250 ms, and more processes and slots than the explorer could go through. */
const BOUNDS = {
  DEFECT: 'none',
  INSTANCES: 3,
  EXTRA: 1,
  CAP: 3,
  IDLE: 2,
  TTL: 12,
  EPOCHS: 1_000,
  DEATHS: 1,
  COOLS: false,
  FINE: false,
};

/** Replays walks of `claimers` with claim_jobs() on connections of their own, and a clock that is moved by hand. */
export async function replayClaimers(
  database: ReplayDatabase,
  short: boolean,
  walks = short ? 6 : 40,
): Promise<ReplayReport> {
  const load = (bounds: Bounds) => QuintModel.load(specFile('claimers'), 'claimers', bounds);
  const models = [await load(BOUNDS), await load({ ...BOUNDS, COOLS: true })];
  const clock = await EngineClock.install(database);
  const clients: Client[] = [];
  const steps: Step[] = [];
  for (let seed = 1; seed <= walks; seed++) {
    const engine = await ClaimersEngine.open(database, clock, BOUNDS, clients);
    try {
      steps.push(...(await replay(models[seed % 2]!, engine, { seed, steps: 80 })));
    } finally {
      await engine.close();
    }
  }
  return { walks, steps: steps.length, kinds: countKinds(steps.map(inDetail)) };
}

/** A claim is many things: it takes a slot in this way or that, or is refused. */
function inDetail(step: Step): Step {
  const { how } = step.value as unknown as { readonly how?: string };
  return how === undefined || how === '' ? step : { ...step, tag: `${step.tag}: ${how}` };
}
