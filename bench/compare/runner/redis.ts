import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { cpuSecondsOf } from './processes.js';

/** Nothing is evicted, and what is written reaches the disk within a second: what BullMQ's documentation asks for in production. */
export const REDIS_SETTINGS: Readonly<Record<string, string>> = {
  'maxmemory-policy': 'noeviction',
  appendonly: 'yes',
  appendfsync: 'everysec',
  save: '',
};

const START_MS = 10_000;

/** A private server for one run, which is how every run gets an empty one. */
export class Redis {
  private constructor(
    readonly url: string,
    private readonly child: ChildProcess,
    private readonly folder: string,
  ) {}

  static async start(): Promise<Redis> {
    const port = await freePort();
    const folder = mkdtempSync(join(tmpdir(), 'bench-redis-'));
    const settings = Object.entries(REDIS_SETTINGS).flatMap(([name, value]) => [`--${name}`, value]);
    const child = spawn(
      'redis-server',
      ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, ...settings],
      { stdio: 'ignore' },
    );
    const redis = new Redis(`redis://127.0.0.1:${port}`, child, folder);
    try {
      await redis.answers(port);
    } catch (error) {
      await redis.stop();
      throw error;
    }
    return redis;
  }

  /** @returns such as `7.0.15`, or undefined where there is no Redis */
  static installedVersion(): string | undefined {
    try {
      return /v=(\S+)/.exec(execFileSync('redis-server', ['--version'], { encoding: 'utf8' }))?.[1];
    } catch {
      return undefined;
    }
  }

  cpuSeconds(): number | undefined {
    return cpuSecondsOf(this.child.pid === undefined ? [] : [this.child.pid]);
  }

  async stop(): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      const ended = once(this.child, 'exit');
      this.child.kill('SIGKILL');
      await ended;
    }
    rmSync(this.folder, { recursive: true, force: true });
  }

  private async answers(port: number): Promise<void> {
    const deadline = Date.now() + START_MS;
    while (!(await isPonging(port))) {
      if (this.child.exitCode !== null || Date.now() > deadline)
        throw new Error('redis-server does not start');
      await delay(50);
    }
  }
}

function isPonging(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('PING\r\n'));
    socket.setTimeout(1_000, () => socket.destroy());
    socket.once('data', (data) => {
      resolve(data.toString().startsWith('+PONG'));
      socket.destroy();
    });
    socket.once('error', () => resolve(false));
    socket.once('close', () => resolve(false));
  });
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}
