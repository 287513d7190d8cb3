import { parseArgs } from 'node:util';
import { startVitest } from 'vitest/node';
import { checkModel, type Run, type Totals } from './check-model.js';
import { ReplayServer } from './conformance/replay-server.js';
import { loadModels } from './models.js';

const { values } = parseArgs({
  options: { short: { type: 'boolean', default: false }, only: { type: 'string' } },
});

/** Random sequences and payloads in the long form. The suite has a few of its own, which are all that CI needs. */
const PROPERTY_RUNS = 300;

const models = await loadModels();
const chosen = models.filter(({ name }) => values.only === undefined || name === values.only);
if (chosen.length === 0) {
  console.error(`There is no model "${values.only}", only: ${models.map(({ name }) => name).join(', ')}`);
  process.exit(2);
}

const begin = performance.now();
const totals: Totals = { states: 0, transitions: 0, twins: 0, walks: 0, replayed: 0, problems: 0 };
const server = new ReplayServer();
try {
  const run: Run = {
    short: values.short,
    totals,
    openDatabase: (name) => server.open(name),
    print: (line) => console.log(line),
  };
  for (const row of chosen) await checkModel(row, run);
} finally {
  await server.stop();
}
if (!values.short && values.only === undefined) {
  const vitest = await startVitest('test', ['test/property'], {
    watch: false,
    env: { PROPERTY_RUNS: String(PROPERTY_RUNS) },
  });
  totals.problems += vitest.state.getCountOfFailedTests();
  await vitest.close();
}
const seconds = ((performance.now() - begin) / 1_000).toFixed(0);
console.log(
  `${totals.states} states and ${totals.transitions} transitions explored, ${totals.walks} random walks, ` +
    `${totals.twins} broken twins refuted, ${totals.replayed} walks replayed; ${totals.problems} problem(s), after ${seconds} s`,
);
process.exitCode = totals.problems === 0 ? 0 : 1;
