/**
 * Runs one of the samples: `node build/sample/run.js 01-quickstart [--fresh] [the sample's own options]`.
 *
 * The database server is started here and the sample in a child process, because the two have to end in
 * this order: first the application drains, then its database stops. A server inside the application's own
 * process would be gone at the first Ctrl-C, before the drain has read or written anything.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { resolveDatabase } from '../test/postgres/resolve-database.js';
import { openSampleDatabase } from './sample-database.js';

// From build/sample/ back to the repository.
const repository = fileURLToPath(new URL('../..', import.meta.url));

const [sample = '', ...options] = process.argv.slice(2);
const fresh = options.includes('--fresh');
const sampleOptions = options.filter((option) => option !== '--fresh');

let child: ChildProcess | undefined;
let stopSignal: NodeJS.Signals | undefined;

// Ctrl-C reaches the whole foreground group, `kill` only this process: forwarding serves both, since Nest
// ignores a second signal while it shuts down. This process itself just waits for the child.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    stopSignal = signal;
    child?.kill(signal);
  });
}

async function run(): Promise<number> {
  const main = fileURLToPath(new URL(`./${sample}/main.js`, import.meta.url));
  if (sample === '' || !existsSync(main)) {
    console.error(`There is no sample "${sample}". Usage: node build/sample/run.js 01-quickstart [--fresh]`);
    return 2;
  }

  if (process.env['DATABASE_URL']) {
    if (fresh) {
      console.error('--fresh drops a whole database, so it is refused for the one DATABASE_URL names.');
      return 2;
    }
    return runChild(main, process.env['DATABASE_URL']);
  }

  const server = await resolveDatabase({ dataDir: join(repository, '.data', 'postgres') });
  try {
    return await runChild(main, await openSampleDatabase(server.url, sample, { fresh }));
  } finally {
    await server.stop();
  }
}

/** Resolves to the child's exit status, in a shell's convention (128 + n) if signal n ended it. */
async function runChild(main: string, databaseUrl: string): Promise<number> {
  if (stopSignal) return signalStatus(stopSignal);
  const application = spawn(process.execPath, ['--enable-source-maps', main, ...sampleOptions], {
    cwd: repository,
    stdio: 'inherit',
    env: { ...process.env, DATABASE_URL: databaseUrl },
  });
  child = application;
  return new Promise((resolve, reject) => {
    application.once('error', reject);
    application.once('exit', (code, signal) => resolve(signal ? signalStatus(signal) : (code ?? 1)));
  });
}

function signalStatus(signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal];
}

process.exitCode = await run();
