import { writeResults } from '../report/write.js';
import { killAdapters } from './adapter.js';
import { describeMachine } from './machine.js';
import { type Options, readOptions, USAGE } from './options.js';
import { Postgres, POSTGRES_SETTINGS } from './postgres.js';
import { Redis, REDIS_SETTINGS } from './redis.js';
import type { Results, Run } from './results.js';
import { runOnce } from './run.js';
import type { Shape } from './shapes.js';
import { prepareSystems, type System, SYSTEM_NAMES } from './systems.js';

/*
 * Runs every system in every shape and writes what came out:
 *
 *   npm run bench
 *   npm run bench -- --quick --only depth,drain --systems awa,graphile
 */

const say = (text: string) => void process.stderr.write(`${text}\n`);

let isInterrupted = false;

function interrupt(): void {
  // The second time somebody does not want to wait for the results.
  if (isInterrupted) process.exit(130);
  isInterrupted = true;
  say('interrupted: what was measured so far is written');
  killAdapters();
}

function takesPart(system: System, shape: Shape, options: Options): boolean {
  return options.systems !== undefined || (shape.systems?.includes(system.name) ?? true);
}

/** For each shape the systems in turn, so that a machine that grows slower does so for all of them. */
async function runAll(options: Options, systems: readonly System[], postgres: Postgres): Promise<Run[]> {
  const runs: Run[] = [];
  for (const shape of options.shapes) {
    for (let repetition = 1; repetition <= options.repeat; repetition++) {
      for (const system of systems.filter((one) => takesPart(one, shape, options))) {
        if (isInterrupted) return runs;
        const run = await runOnce(shape, system, repetition, postgres);
        if (isInterrupted) return runs;
        runs.push(run);
        say(describeRun(run));
      }
    }
  }
  return runs;
}

function describeRun({ shape, system, figures, error, stderr }: Run): string {
  const name = `${shape.padEnd(10)} ${system.padEnd(14)}`;
  if (figures === undefined) return [`${name} failed: ${error}`, ...(stderr ?? [])].join('\n  ');
  const { rateMedian, pickupMs } = figures;
  const pickup = pickupMs === undefined ? '' : `, pickup p50 ${pickupMs.p50.toFixed(1)} ms`;
  return `${name} ${rateMedian.toFixed(0).padStart(7)} jobs/s${pickup}`;
}

async function main(): Promise<number> {
  const options = readOptions(process.argv.slice(2));
  if (options === 'help') {
    process.stdout.write(USAGE);
    return 0;
  }
  const { systems, skipped } = prepareSystems(new Set(options.systems ?? SYSTEM_NAMES));
  for (const { name, reason } of skipped) say(`${name} is skipped: ${reason}`);

  process.on('SIGINT', interrupt);
  process.on('SIGTERM', interrupt);
  process.on('exit', killAdapters);
  const startedAt = new Date().toISOString();
  const postgres = await Postgres.start();
  let runs: readonly Run[];
  try {
    runs = await runAll(options, systems, postgres);
  } finally {
    await postgres.stop();
  }
  const redisVersion = Redis.installedVersion();
  const results: Results = {
    startedAt,
    quick: options.quick,
    repeat: options.repeat,
    interrupted: isInterrupted,
    machine: describeMachine(),
    versions: {
      runner: `node ${process.versions.node}`,
      postgres: postgres.version,
      ...(redisVersion === undefined ? {} : { redis: redisVersion }),
    },
    postgresSettings: POSTGRES_SETTINGS,
    redisSettings: REDIS_SETTINGS,
    shapes: options.shapes,
    skipped,
    runs,
  };
  for (const file of writeResults(results, options.save && !isInterrupted)) process.stdout.write(`${file}\n`);
  if (isInterrupted) return 130;
  return runs.some(({ error }) => error !== undefined) ? 1 : 0;
}

process.exitCode = await main();
