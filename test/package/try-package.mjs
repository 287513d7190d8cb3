/**
 * Tries the package as its users get it: `npm run test:package`.
 *
 * Packs it, lets publint and attw look at the tarball, and installs it with its peers into two new applications outside of
 * this repository: one of ES modules, one of CommonJS. Each is type-checked, declarations of all libraries included, and run
 * against a database of its own, on DATABASE_URL (its role has to be allowed to create databases) or on a temporary server.
 *
 * `--keep` leaves the applications in place and says where.
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client } from 'pg';

const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url));
const BIN = join(REPOSITORY, 'node_modules', '.bin');
const APP = fileURLToPath(new URL('app', import.meta.url));
const STEP_TIMEOUT_MS = 300_000;

const COMPILER_OPTIONS = {
  target: 'es2023',
  module: 'nodenext',
  strict: true,
  skipLibCheck: false,
  experimentalDecorators: true,
  emitDecoratorMetadata: true,
  types: ['node'],
  rootDir: 'src',
  outDir: 'dist',
};

/** Runs a program to its end, with its output on ours. Throws unless it exits with 0 in time. */
async function run(cwd, command, args, env = {}) {
  const startedAt = performance.now();
  process.stdout.write(`\n==> ${[command.replace(`${BIN}/`, ''), ...args].join(' ')}\n`);
  const child = spawn(command, args, {
    cwd,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'inherit', 'inherit'],
    timeout: STEP_TIMEOUT_MS,
    killSignal: 'SIGKILL',
  });
  const [code, signal] = await once(child, 'close');
  if (code !== 0) throw new Error(`"${command} ${args.join(' ')}" ended with ${code ?? signal}`);
  process.stdout.write(`    ok after ${((performance.now() - startedAt) / 1000).toFixed(1)} s\n`);
}

/** What a user would write. The versions are those that our package.json asks for. */
async function createApp(directory, type, tarball) {
  const { peerDependencies, devDependencies } = JSON.parse(
    await readFile(join(REPOSITORY, 'package.json'), 'utf8'),
  );
  const manifest = {
    name: `try-${type}`,
    private: true,
    type,
    dependencies: { ...peerDependencies, 'nestjs-awa': `file:${tarball}` },
    devDependencies: {
      '@types/node': devDependencies['@types/node'],
      typescript: devDependencies.typescript,
    },
  };
  await mkdir(directory);
  await writeFile(join(directory, 'package.json'), JSON.stringify(manifest, undefined, 2));
  const tsconfig = { compilerOptions: COMPILER_OPTIONS, include: ['src'] };
  await writeFile(join(directory, 'tsconfig.json'), JSON.stringify(tsconfig, undefined, 2));
  await cp(APP, join(directory, 'src'), { recursive: true });
}

async function tryApp(directory, type, tarball, serverUrl) {
  await createApp(directory, type, tarball);
  await run(directory, 'npm', ['install', '--no-audit', '--no-fund', '--prefer-offline']);
  await run(directory, join(directory, 'node_modules', '.bin', 'tsc'), ['-p', '.']);
  await withDatabase(serverUrl, (url) =>
    run(directory, process.execPath, ['dist/main.js'], { DATABASE_URL: url }),
  );
}

/** A new database for the work, dropped after it. */
async function withDatabase(serverUrl, work) {
  const name = `try_package_${randomBytes(6).toString('hex')}`;
  const admin = new Client({ connectionString: serverUrl });
  await admin.connect();
  try {
    await admin.query(`CREATE DATABASE ${name}`);
    const url = new URL(serverUrl);
    url.pathname = `/${name}`;
    await work(url.toString());
  } finally {
    await admin.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
    await admin.end();
  }
}

async function startDatabase() {
  await run(REPOSITORY, join(BIN, 'tsc'), ['-p', 'test/postgres/tsconfig.json']);
  const { resolveDatabase } = await import('../../build/test/postgres/resolve-database.js');
  return resolveDatabase({ temporary: true, settings: { fsync: 'off' } });
}

const scratch = await mkdtemp(join(tmpdir(), 'try-package-'));
try {
  await run(REPOSITORY, 'npm', ['pack', '--pack-destination', scratch]);
  const [name = ''] = await readdir(scratch);
  const tarball = join(scratch, name);
  await run(REPOSITORY, join(BIN, 'publint'), ['--strict', tarball]);
  await run(REPOSITORY, join(BIN, 'attw'), [tarball, '--profile', 'esm-only']);

  const database = await startDatabase();
  try {
    for (const type of ['module', 'commonjs']) {
      await tryApp(join(scratch, type), type, tarball, database.url);
    }
  } finally {
    await database.stop();
  }
} finally {
  if (process.argv.includes('--keep')) process.stdout.write(`\nThe applications are in ${scratch}\n`);
  else await rm(scratch, { recursive: true, force: true });
}
