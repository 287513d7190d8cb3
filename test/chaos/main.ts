import { parseArgs } from 'node:util';
import { readJobRules } from '../model/trace-check/job-rules.js';
import { Ground } from './ground.js';
import { runScenario, type ScenarioReport } from './run-scenario.js';
import type { Form, Scenario } from './scenario.js';
import { SCENARIOS } from './scenarios/index.js';

const { values } = parseArgs({
  options: {
    short: { type: 'boolean', default: false },
    only: { type: 'string' },
    rate: { type: 'string', default: '300' },
  },
});
const isShort = values.short;
const form: Form = { isShort, pick: (short, long) => (isShort ? short : long) };
const rate = Number(values.rate);

const chosen = SCENARIOS.filter(({ name }) => values.only === undefined || name === values.only);
if (chosen.length === 0) {
  console.error(
    `There is no scenario "${values.only}", only: ${SCENARIOS.map(({ name }) => name).join(', ')}`,
  );
  process.exit(2);
}

const rules = await readJobRules();
const binDir = process.env['TEST_POSTGRES_BIN'];
let shared: Ground | undefined;
let problems = 0;
const begin = performance.now();
try {
  for (const scenario of chosen) {
    const reason = await scenario.cannotRun?.();
    if (reason !== undefined) {
      console.log(`${scenario.name}: skipped, ${reason}`);
      continue;
    }
    console.log(`${scenario.name}: ${scenario.about}`);
    const report = await runOn(scenario);
    print(report);
    problems += report.problems.length;
  }
} finally {
  await shared?.stop();
}

const seconds = ((performance.now() - begin) / 1_000).toFixed(0);
console.log(
  problems === 0 ? `all is well, after ${seconds} s` : `${problems} problem(s), after ${seconds} s`,
);
process.exitCode = problems === 0 ? 0 : 1;

async function runOn(scenario: Scenario): Promise<ScenarioReport> {
  const own = await scenario.prepare?.();
  try {
    shared ??= own === undefined ? await Ground.prepare({ binDir }) : undefined;
    const ground = own?.ground ?? shared;
    if (ground === undefined) throw new Error('no cluster to run on');
    return await runScenario(scenario, form, ground, rate, rules);
  } finally {
    await own?.stop();
  }
}

function print({
  before,
  worst,
  recoveryMs,
  ratio,
  jobs,
  attempts,
  events,
  notes,
  problems: found,
  directory,
}: ScenarioReport): void {
  const recovery =
    recoveryMs === undefined ? 'not recovered' : `recovered in ${(recoveryMs / 1_000).toFixed(1)} s`;
  console.log(
    `  ${recovery}, ${before.toFixed(0)} jobs/s before, ${worst.toFixed(0)} in the worst second, ` +
      `${(ratio * 100).toFixed(0)} % after; ` +
      `${jobs} jobs, ${attempts} attempts, ${events} events compared with the model${notes.map((note) => `; ${note}`).join('')}`,
  );
  for (const problem of found) console.log(`  PROBLEM: ${problem}`);
  if (found.length > 0) console.log(`  records and logs: ${directory}`);
}
