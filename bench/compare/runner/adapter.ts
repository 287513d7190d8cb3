import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { System } from './systems.js';

export type Buckets = readonly (readonly [bucket: number, count: number])[];

export interface Sample {
  /** Milliseconds since the epoch. */
  readonly t: number;
  readonly enqueued: number;
  readonly started: number;
  readonly completed: number;
  readonly failed: number;
  readonly pickup: Buckets;
  readonly producer: Buckets;
}

export interface Descriptor {
  readonly system: string;
  readonly version: string;
  readonly runtime: string;
  readonly settings: Readonly<Record<string, unknown>>;
}

type Line =
  | (Descriptor & { readonly kind: 'descriptor' })
  | { readonly kind: 'preloaded'; readonly jobs: number; readonly seconds: number }
  | { readonly kind: 'ready' }
  | { readonly kind: 'drained' }
  | (Sample & { readonly kind: 'sample' });

/** The contract gives ten seconds. The rest is for a machine that is busy. */
const END_MS = 12_000;
const STDERR_LINES = 20;

const running = new Set<ChildProcess>();
let isOver = false;

/** For the end of the runner, however that comes about. None is started any more: a run may be between two of them. */
export function killAdapters(): void {
  isOver = true;
  for (const child of running) child.kill('SIGKILL');
}

/** One process of an adapter: what it has said so far, and a way to wait for more. */
export class Adapter {
  readonly samples: Sample[] = [];
  descriptor: Descriptor | undefined;
  /** Seconds, jobs. */
  preloaded: { readonly jobs: number; readonly seconds: number } | undefined;
  readyAt: number | undefined;
  drainedAt: number | undefined;
  private readonly child: ChildProcess;
  private readonly stderr: string[] = [];
  private readonly exited: Promise<unknown>;
  private startError: Error | undefined;

  constructor(system: System, env: Readonly<Record<string, string>>) {
    if (isOver) throw new Error('the runner ends');
    this.child = spawn(system.command, system.args, {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    running.add(this.child);
    // `close` comes after the last line was read, `exit` may come before.
    this.exited = once(this.child, 'close').catch((error: unknown) => {
      this.startError = error as Error;
    });
    void this.exited.then(() => running.delete(this.child));
    if (this.child.stdout !== null) createInterface(this.child.stdout).on('line', (line) => this.read(line));
    if (this.child.stderr !== null) createInterface(this.child.stderr).on('line', (line) => this.log(line));
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  get stderrTail(): readonly string[] {
    return this.stderr;
  }

  /** @throws Error once the process is gone, which nothing but `stop` should bring about */
  assertRunning(): void {
    if (this.startError !== undefined) throw this.startError;
    const { exitCode, signalCode } = this.child;
    if (exitCode !== null || signalCode !== null)
      throw new Error(`the adapter ended by itself with ${exitCode ?? signalCode}`);
  }

  /** @returns what was wrong with its end, if anything was */
  async stop(): Promise<string | undefined> {
    const startedAt = performance.now();
    this.child.kill('SIGTERM');
    const kill = setTimeout(() => this.child.kill('SIGKILL'), END_MS);
    await this.exited;
    clearTimeout(kill);
    const seconds = ((performance.now() - startedAt) / 1_000).toFixed(1);
    const { exitCode, signalCode } = this.child;
    return exitCode === 0 ? undefined : `ended with ${exitCode ?? signalCode} ${seconds} s after SIGTERM`;
  }

  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.exited;
  }

  private read(text: string): void {
    const line = parse(text);
    if (line === undefined) this.log(text);
    else if (line.kind === 'descriptor') this.descriptor = describe(line);
    else if (line.kind === 'preloaded') this.preloaded = { jobs: line.jobs, seconds: line.seconds };
    else if (line.kind === 'ready') this.readyAt = Date.now();
    else if (line.kind === 'drained') this.drainedAt = Date.now();
    else if (line.kind === 'sample') this.samples.push(line);
  }

  private log(line: string): void {
    this.stderr.push(line);
    if (this.stderr.length > STDERR_LINES) this.stderr.shift();
  }
}

function describe({ system, version, runtime, settings }: Descriptor): Descriptor {
  return { system, version, runtime, settings };
}

/** A library may print to stdout on its own account. */
function parse(text: string): Line | undefined {
  if (!text.startsWith('{')) return undefined;
  try {
    return JSON.parse(text) as Line;
  } catch {
    return undefined;
  }
}
