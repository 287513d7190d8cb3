import { compareWithQuint } from './compare-with-quint.js';
import { describeTrace, explore, SETTLED, type Counterexample } from './explorer.js';
import { instancesOf, specFile, type BrokenTwin, type ModelRow, type ReplayDatabase } from './models.js';
import { QuintModel, type Bounds } from './quint-model.js';
import { checkWalks } from './walks.js';

export interface Totals {
  states: number;
  transitions: number;
  twins: number;
  walks: number;
  replayed: number;
  problems: number;
}

/** How a run was started. */
export interface Run {
  readonly short: boolean;
  readonly totals: Totals;
  readonly openDatabase: (name: string) => Promise<ReplayDatabase>;
  readonly print: (line: string) => void;
}

/** Checks all that a row says, and prints what it did. */
export async function checkModel(row: ModelRow, run: Run): Promise<void> {
  run.print(`${row.name}: ${row.about}`);
  const parts = [exploreInstances, takeWalks, refuteTwins, replayWalks, ...(run.short ? [] : [compare])];
  for (const part of parts) {
    try {
      await part(row, run);
    } catch (error) {
      problem(run, error instanceof Error ? error.message : String(error));
    }
  }
}

async function exploreInstances(row: ModelRow, run: Run): Promise<void> {
  let unreached = row.witnesses;
  for (const bounds of instancesOf(run.short ? row.explore.short : row.explore.long)) {
    const model = await load(row, bounds);
    const took = stopwatch();
    const { states, transitions, depth, counterexample, ...rest } = explore(model, row);
    run.totals.states += states;
    run.totals.transitions += transitions;
    const progress =
      row.settleSteps === undefined ? '' : `, settled within ${row.settleSteps} steps from everywhere`;
    run.print(
      `  explored ${states} states, ${transitions} transitions, depth ${depth}, in ${took()} ` +
        `(${describeBounds(bounds)}): ${row.invariants.length} invariants${progress}`,
    );
    if (counterexample !== undefined) problem(run, describeCounterexample(model, counterexample));
    unreached = unreached.filter((witness) => rest.unreached.includes(witness));
  }
  if (unreached.length > 0) problem(run, `no state with ${unreached.join(', ')}`);
}

async function takeWalks(row: ModelRow, run: Run): Promise<void> {
  const plan = row.walks?.[run.short ? 'short' : 'long'];
  if (plan === undefined) return;
  const model = await load(row, plan.bounds);
  const took = stopwatch();
  const { walks, steps, counterexample } = checkWalks(model, row.invariants, plan);
  run.totals.walks += walks;
  run.print(`  walked ${walks} times, ${steps} steps, in ${took()} (${describeBounds(plan.bounds)})`);
  if (counterexample !== undefined) problem(run, describeCounterexample(model, counterexample));
}

async function refuteTwins(row: ModelRow, run: Run): Promise<void> {
  for (const twin of row.twins) {
    const bounds = twin.bounds ?? instancesOf(row.explore.short)[0]!;
    const model = await load(row, bounds, twin.defect);
    const took = stopwatch();
    const refuted = refute(model, row, twin);
    if (refuted === undefined) {
      problem(run, `the broken twin ${twin.defect} passes ${twin.refuted}`);
    } else {
      run.totals.twins++;
      run.print(
        `  twin ${twin.defect}: refuted by ${twin.refuted} in ${refuted.states.length - 1} steps, in ${took()}`,
      );
    }
  }
}

/** A counterexample to the invariant that is to find the twin. */
export function refute(model: QuintModel, row: ModelRow, twin: BrokenTwin): Counterexample | undefined {
  const isProgress = twin.refuted === SETTLED;
  return explore(model, {
    invariants: isProgress ? [] : [twin.refuted],
    settleSteps: isProgress ? row.settleSteps : undefined,
  }).counterexample;
}

async function replayWalks(row: ModelRow, run: Run): Promise<void> {
  const replay = await row.conformance?.();
  if (replay === undefined) return;
  const database = await run.openDatabase(row.name);
  const took = stopwatch();
  const { walks, steps, kinds } = await replay(database, run.short);
  run.totals.replayed += walks;
  const counts = Object.entries(kinds).map(([kind, times]) => `${times} ${kind}`);
  run.print(`  replayed ${walks} walks, ${steps} steps, in ${took()}: ${counts.join(', ')}`);
}

async function compare(row: ModelRow, run: Run): Promise<void> {
  const took = stopwatch();
  const { steps, successors } = await compareWithQuint(row);
  run.print(
    `  compared with Quint's simulator: ${steps} steps, all ${successors} successors of a state, in ${took()}`,
  );
}

function load(row: ModelRow, bounds: Bounds, defect = 'none'): Promise<QuintModel> {
  return QuintModel.load(specFile(row.name), row.name, { DEFECT: defect, ...bounds });
}

function problem({ totals, print }: Run, line: string): void {
  totals.problems++;
  print(`  PROBLEM: ${line}`);
}

function stopwatch(): () => string {
  const begin = performance.now();
  return () => `${((performance.now() - begin) / 1_000).toFixed(1)} s`;
}

const describeBounds = (bounds: Bounds): string =>
  Object.entries(bounds)
    .map(([name, value]) => `${name} = ${value}`)
    .join(', ');

function describeCounterexample(model: QuintModel, { violated, states }: Counterexample): string {
  const steps = describeTrace(model, states).map((line) => `\n    ${line}`);
  return `${violated} is violated after${steps.join('')}\n    ${JSON.stringify(model.read(states.at(-1)!))}`;
}
