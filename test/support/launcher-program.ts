import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import ts from 'typescript';

import type { StartOptions } from '../postgres/server.js';

const SOURCE = join(import.meta.dirname, '..', 'postgres');
const NODE_MODULES = join(import.meta.dirname, '..', '..', 'node_modules');

/** Translates the launcher to JavaScript, because processes of their own run what Node can load. */
export async function compileLauncher(target: string): Promise<void> {
  await mkdir(target, { recursive: true });
  await writeFile(join(target, 'package.json'), '{ "type": "module" }');
  await symlink(NODE_MODULES, join(target, 'node_modules'));
  const names = (await readdir(SOURCE)).filter((name) => name.endsWith('.ts') && !name.endsWith('.spec.ts'));
  const compilerOptions = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023 };
  for (const name of names) {
    const { outputText } = ts.transpileModule(await readFile(join(SOURCE, name), 'utf8'), {
      compilerOptions,
    });
    await writeFile(join(target, name.replace(/\.ts$/, '.js')), outputText);
  }
}

/** Runs the command line tool to its end. */
export async function runCli(
  compiled: string,
  ...args: readonly string[]
): Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }> {
  const child = spawn(process.execPath, [join(compiled, 'cli.js'), ...args], { stdio: 'pipe' });
  const output = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk: Buffer) => (output.stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (output.stderr += chunk.toString()));
  await once(child, 'close');
  return { code: child.exitCode, ...output };
}

/** A process that has started a server and goes on running. */
export interface Starter {
  readonly child: ChildProcess;
  readonly url: string;
  readonly dataDir: string;
  /** Signals its whole process group, as Ctrl-C in a terminal does, and waits for it to end. */
  end(signal: NodeJS.Signals): Promise<void>;
}

export async function spawnStarter(compiled: string, options: StartOptions): Promise<Starter> {
  const script = `
    import { startPostgres } from ${JSON.stringify(join(compiled, 'server.js'))};
    const { url, dataDir } = await startPostgres(${JSON.stringify(options)});
    process.stdout.write(JSON.stringify({ url, dataDir }));
    setInterval(() => undefined, 1000);
  `;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    detached: true,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit');
  const [chunk]: unknown[] = await Promise.race([
    once(child.stdout, 'data'),
    ended.then(() => Promise.reject(new Error('The starting process ended before it had a server.'))),
  ]);
  const started: unknown = JSON.parse(String(chunk));
  if (!isStarted(started)) throw new TypeError(`Unexpected: ${String(chunk)}`);
  return {
    ...started,
    child,
    end: async (signal) => {
      if (child.pid !== undefined) process.kill(-child.pid, signal);
      await ended;
    },
  };
}

function isStarted(value: unknown): value is { readonly url: string; readonly dataDir: string } {
  return typeof value === 'object' && value !== null && 'url' in value && 'dataDir' in value;
}
