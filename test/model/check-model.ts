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

/** Checks all that a row says, and prints what it did. */
export async function checkModel(
  row: ModelRow,
  short: boolean,
  totals: Totals,
  openDatabase: (name: string) => Promise<ReplayDatabase>,
  print: (line: string) => void,
): Promise<void> {
  const load = (bounds: Bounds, defect = 'none'): Promise<QuintModel> =>
    QuintModel.load(specFile(row.name), row.name, { DEFECT: defect, ...bounds });
  const fail = (line: string): void => {
    totals.problems++;
    print(`  PROBLEM: ${line}`);
  };
  const timed = async <T>(work: () => Promise<T> | T): Promise<[T, string]> => {
    const begin = performance.now();
    const result = await work();
    return [result, `${((performance.now() - begin) / 1_000).toFixed(1)} s`];
  };

  print(`${row.name}: ${row.about}`);
  let unreached = row.witnesses;
  for (const bounds of instancesOf(short ? row.explore.short : row.explore.long)) {
    const model = await load(bounds);
    const [exploration, took] = await timed(() => explore(model, row));
    totals.states += exploration.states;
    totals.transitions += exploration.transitions;
    print(
      `  explored ${exploration.states} states, ${exploration.transitions} transitions, depth ${exploration.depth}, in ${took}` +
        ` (${describeBounds(bounds)}): ${row.invariants.length} invariants` +
        (row.settleSteps === undefined ? '' : `, settled within ${row.settleSteps} steps from everywhere`),
    );
    if (exploration.counterexample !== undefined) {
      fail(describeCounterexample(model, exploration.counterexample));
    }
    unreached = unreached.filter((witness) => exploration.unreached.includes(witness));
  }
  if (unreached.length > 0) fail(`no state with ${unreached.join(', ')}`);

  const plan = row.walks?.[short ? 'short' : 'long'];
  if (plan !== undefined) {
    const large = await load(plan.bounds);
    const [walks, walkingTook] = await timed(() => checkWalks(large, row.invariants, plan));
    totals.walks += walks.walks;
    print(
      `  walked ${walks.walks} times, ${walks.steps} steps, in ${walkingTook} (${describeBounds(plan.bounds)})`,
    );
    if (walks.counterexample !== undefined) fail(describeCounterexample(large, walks.counterexample));
  }

  for (const twin of row.twins) {
    const broken = await load(twin.bounds ?? instancesOf(row.explore.short)[0]!, twin.defect);
    const [refuted, took] = await timed(() => refute(broken, row, twin));
    if (refuted === undefined) {
      fail(`the broken twin ${twin.defect} passes ${twin.refuted}`);
    } else {
      totals.twins++;
      print(
        `  twin ${twin.defect}: refuted by ${twin.refuted} in ${refuted.states.length - 1} steps, in ${took}`,
      );
    }
  }

  if (row.conformance !== undefined) {
    try {
      const replay = await row.conformance();
      const database = await openDatabase(row.name);
      const [report, took] = await timed(() => replay(database, short));
      totals.replayed += report.walks;
      const kinds = Object.entries(report.kinds).map(([kind, times]) => `${times} ${kind}`);
      print(`  replayed ${report.walks} walks, ${report.steps} steps (${kinds.join(', ')}), in ${took}`);
    } catch (error) {
      fail(`the engine differs from the model: ${error instanceof Error ? error.message : String(error)}`);
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

const describeBounds = (bounds: Bounds): string =>
  Object.entries(bounds)
    .map(([name, value]) => `${name} = ${value}`)
    .join(', ');

function describeCounterexample(model: QuintModel, { violated, states }: Counterexample): string {
  const steps = describeTrace(model, states).map((line) => `\n    ${line}`);
  return `${violated} is violated after${steps.join('')}\n    ${JSON.stringify(model.read(states.at(-1)!))}`;
}
