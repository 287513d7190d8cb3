import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { FaultProxy } from '../support/fault-proxy.js';
import { type ProcessSettings, settingsEnvironment } from './programs/settings.js';

const READY_TIMEOUT_MS = 60_000;
/** A process that was told to end and does not is killed after this time, in milliseconds; that is a finding. */
const END_TIMEOUT_MS = 40_000;

/** A process of the run: a worker or a producer, with a proxy of its own to the database. */
export class ChaosProcess {
  private readonly exited: Promise<unknown>;

  private constructor(
    readonly name: string,
    readonly proxy: FaultProxy,
    private readonly child: ChildProcess,
  ) {
    this.exited = once(child, 'exit');
  }

  /**
   * Starts `programs/<program>.program.js` and waits until it works. Its record goes to `<name>.record`, what it logs to `<name>.log`.
   *
   * @param databaseUrl where its proxy leads
   */
  static async start(
    program: 'worker' | 'producer',
    name: string,
    directory: string,
    databaseUrl: string,
    settings: Omit<ProcessSettings, 'url' | 'record'>,
  ): Promise<ChaosProcess> {
    const proxy = await FaultProxy.open(databaseUrl);
    const record = join(directory, `${name}.record`);
    const child = fork(join(import.meta.dirname, 'programs', `${program}.program.js`), [], {
      env: { ...process.env, ...settingsEnvironment({ ...settings, url: proxy.url, record }) },
      execArgv: [],
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    const log = createWriteStream(join(directory, `${name}.log`));
    child.stdout?.pipe(log, { end: false });
    child.stderr?.pipe(log, { end: false });
    const started = new ChaosProcess(name, proxy, child);
    child.once('close', () => log.end());
    await started.ready();
    return started;
  }

  get isRunning(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** SIGKILL; legal any number of times. */
  async kill(): Promise<void> {
    this.signal('SIGKILL');
    await this.exited;
    await this.proxy.close();
  }

  /** SIGTERM, and what the process makes of it. @throws Error when it does not end */
  async end(): Promise<void> {
    this.signal('SIGTERM');
    const timer = setTimeout(() => this.signal('SIGKILL'), END_TIMEOUT_MS);
    await this.exited;
    clearTimeout(timer);
    await this.proxy.close();
    if (this.child.signalCode === 'SIGKILL') throw new Error(`${this.name} did not end on SIGTERM`);
  }

  private async ready(): Promise<void> {
    const timer = setTimeout(() => this.signal('SIGKILL'), READY_TIMEOUT_MS);
    const message = await Promise.race([once(this.child, 'message'), this.exited.then(() => undefined)]);
    clearTimeout(timer);
    if (message === undefined) throw new Error(`${this.name} did not start; see its log`);
  }
}
