import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import ts from 'typescript';
import { afterAll, beforeAll } from 'vitest';

const REPOSITORY = join(import.meta.dirname, '..', '..');

/** The settings of tsconfig.json that change what is emitted. */
const COMPILER_OPTIONS: ts.CompilerOptions = {
  module: ts.ModuleKind.ESNext,
  target: ts.ScriptTarget.ES2023,
  verbatimModuleSyntax: true,
  isolatedModules: true,
  experimentalDecorators: true,
  emitDecoratorMetadata: true,
};

/** A process that runs one of the programs. */
export interface RunningProgram {
  readonly child: ChildProcess;
  /** How it ended, once it has. */
  readonly ended: Promise<ProgramEnd>;
}

export interface ProgramEnd {
  /** Null when a signal ended it. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CompiledPrograms {
  /** Starts `<name>.program.ts` of the spec's own directory in a process of its own. */
  start(name: string, ...args: readonly string[]): RunningProgram;
}

/**
 * Lets a spec run programs that use the library in processes of their own. Node cannot load TypeScript, so the library and
 * the `*.program.ts` next to the spec are translated to a temporary directory, file by file as `isolatedModules` allows.
 *
 * Programs that still run at the end of the file are killed.
 *
 * @param directory the spec's own, `import.meta.dirname`
 */
export function useCompiledPrograms(directory: string): CompiledPrograms {
  const source = directory.slice(REPOSITORY.length + 1);
  const running = new Set<RunningProgram>();
  let target = '';

  beforeAll(async () => {
    target = await mkdtemp(join(tmpdir(), 'compiled-programs-'));
    await writeFile(join(target, 'package.json'), '{ "type": "module" }');
    await symlink(join(REPOSITORY, 'node_modules'), join(target, 'node_modules'));
    const programs = await readdir(directory);
    await Promise.all([
      compileFolder('lib', target),
      compileFolder('migrations', target),
      ...programs
        .filter((name) => name.endsWith('.program.ts'))
        .map((name) => compile(join(source, name), target)),
    ]);
  });

  afterAll(async () => {
    for (const { child } of running) child.kill('SIGKILL');
    await Promise.all([...running].map(({ ended }) => ended));
    await rm(target, { recursive: true, force: true });
  });

  return {
    start: (name, ...args) => {
      const program = run(join(target, source, `${name}.program.js`), args);
      running.add(program);
      void program.ended.then(() => running.delete(program));
      return program;
    },
  };
}

async function compileFolder(folder: string, target: string): Promise<void> {
  const names = await readdir(join(REPOSITORY, folder), { recursive: true });
  await Promise.all(
    names.filter((name) => /\.[jt]s$/.test(name)).map((name) => compile(join(folder, name), target)),
  );
}

async function compile(file: string, target: string): Promise<void> {
  const text = await readFile(join(REPOSITORY, file), 'utf8');
  const { outputText } = ts.transpileModule(text, { compilerOptions: COMPILER_OPTIONS, fileName: file });
  const output = join(target, file.replace(/\.ts$/, '.js'));
  await mkdir(dirname(output), { recursive: true });
  await writeFile(output, outputText);
}

function run(file: string, args: readonly string[]): RunningProgram {
  const child = spawn(process.execPath, [file, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const output = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk: Buffer) => (output.stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (output.stderr += chunk.toString()));
  return { child, ended: once(child, 'close').then(() => ({ code: child.exitCode, ...output })) };
}
