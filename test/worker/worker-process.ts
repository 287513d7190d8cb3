import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import ts from 'typescript';

import { until } from '../support/signals.js';
import type { WorkerMessage, WorkerOrder } from './worker-program.js';

const ROOT = join(import.meta.dirname, '..', '..');
const PROGRAM = 'test/worker/worker-program';

const COMPILER_OPTIONS: ts.CompilerOptions = {
  module: ts.ModuleKind.ESNext,
  target: ts.ScriptTarget.ES2023,
  verbatimModuleSyntax: true,
  experimentalDecorators: true,
  emitDecoratorMetadata: true,
};

/** The package and the worker program, as JavaScript in a directory of their own. */
export class WorkerBuild {
  private constructor(private readonly directory: string) {}

  static async make(): Promise<WorkerBuild> {
    const directory = await mkdtemp(join(tmpdir(), 'worker-program-'));
    const exported = { '.': './lib/index.js', './migrations': './migrations/index.js' };
    const manifest = { name: 'nestjs-awa', type: 'module', exports: exported };
    await writeFile(join(directory, 'package.json'), JSON.stringify(manifest));
    await symlink(join(ROOT, 'node_modules'), join(directory, 'node_modules'));
    for (const source of [...(await sourcesIn('lib')), ...(await sourcesIn('migrations')), `${PROGRAM}.ts`]) {
      const target = join(directory, source.replace(/\.ts$/, '.js'));
      const text = await readFile(join(ROOT, source), 'utf8');
      await mkdir(dirname(target), { recursive: true });
      await writeFile(target, ts.transpileModule(text, { compilerOptions: COMPILER_OPTIONS }).outputText);
    }
    return new WorkerBuild(directory);
  }

  /** Starts a process, and waits until it works. */
  async start(databaseUrl: string): Promise<WorkerProcess> {
    const child = fork(join(this.directory, `${PROGRAM}.js`), [], {
      env: { ...process.env, WORKER_DATABASE_URL: databaseUrl },
      execArgv: [],
    });
    const worker = new WorkerProcess(child);
    // A job may end it before it can say so.
    await Promise.race([
      worker.heard(({ type }) => type === 'ready', 'the worker process being ready'),
      worker.ended(),
    ]);
    return worker;
  }

  async remove(): Promise<void> {
    await rm(this.directory, { recursive: true, force: true });
  }
}

export class WorkerProcess {
  readonly messages: WorkerMessage[] = [];
  private readonly exited: Promise<unknown>;

  constructor(private readonly child: ChildProcess) {
    this.exited = once(child, 'exit');
    child.on('message', (message) => this.messages.push(message as WorkerMessage));
  }

  /** Waits for something that the process tells. */
  async heard(matches: (message: WorkerMessage) => boolean, what: string): Promise<WorkerMessage> {
    return until(async () => this.messages.find(matches), { what, timeoutMs: 20_000 });
  }

  get pid(): number | undefined {
    return this.child.pid;
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  order(order: WorkerOrder): void {
    this.child.send(order);
  }

  /** @returns the signal that ended it, or its exit code. */
  async ended(): Promise<NodeJS.Signals | number | null> {
    await this.exited;
    return this.child.signalCode ?? this.child.exitCode;
  }

  /** Legal any number of times. */
  async kill(): Promise<void> {
    this.signal('SIGKILL');
    await this.exited;
  }
}

async function sourcesIn(directory: string): Promise<string[]> {
  const names = await readdir(join(ROOT, directory), { recursive: true });
  return names.filter((name) => /\.[jt]s$/.test(name)).map((name) => join(directory, name));
}
