import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/*
 * What `npm run bench` starts: makes everything that the runner needs, then the runner. Plain JavaScript, since nothing is compiled yet.
 */

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const COMPARE = join(ROOT, 'bench/compare');

function step(command, args, cwd = ROOT) {
  const { status, error } = spawnSync(command, args, { cwd, stdio: ['ignore', 'inherit', 'inherit'] });
  if (status === 0) return;
  process.stderr.write(`${command} ${args.join(' ')}: ${error?.message ?? `ended with ${status}`}\n`);
  process.exit(1);
}

/** npm ci takes a minute with the peers' packages and the Node they need, therefore only after a change. */
function installPeers() {
  const stamp = join(COMPARE, 'node_modules/.installed-lock');
  const lock = createHash('sha256')
    .update(readFileSync(join(COMPARE, 'package-lock.json')))
    .digest('hex');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lock) return;
  step('npm', ['ci', '--no-audit', '--no-fund'], COMPARE);
  writeFileSync(stamp, lock);
}

const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
step('npm', ['run', 'build']);
installPeers();
step(process.execPath, [tsc, '-p', 'test/postgres/tsconfig.json']);
step(process.execPath, [tsc, '-p', 'bench/compare']);

const main = join(COMPARE, 'build/runner/main.js');
const runner = spawn(process.execPath, [main, ...process.argv.slice(2)], { cwd: ROOT, stdio: 'inherit' });
// A terminal sends Ctrl-C to both. We stay until the runner has ended what it started.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => runner.kill('SIGTERM'));
runner.on('exit', (code) => {
  process.exitCode = code ?? 1;
});
