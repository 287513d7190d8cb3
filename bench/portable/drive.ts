import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { startPostgres } from '../../test/postgres/server.js';
import { SERVER_SETTINGS } from '../server-settings.js';

/*
 * Drives the adapter as the public harness does, on a server with the harness' settings, and prints the median of every metric:
 *
 *   npm run bench:portable -- --mode fixed --rate 5000 --replicas 1 --workers 64 --seconds 300
 */

/** Left out of the medians, in seconds: the processes compile what they run. */
const WARM_UP_S = 10;

/** The harness kills an adapter that takes longer to end, in milliseconds. */
const END_MS = 5_000;

const { values } = parseArgs({
  options: {
    mode: { type: 'string', default: 'fixed' },
    rate: { type: 'string', default: '5000' },
    depth: { type: 'string', default: '1000' },
    batch: { type: 'string', default: '128' },
    replicas: { type: 'string', default: '1' },
    workers: { type: 'string', default: '64' },
    seconds: { type: 'string', default: '60' },
  },
});

interface Line {
  readonly kind: string;
  /** Not in the descriptor. */
  readonly metric?: string;
  readonly value: number;
  readonly instance_id: number;
}

interface Replica {
  readonly process: ChildProcess;
  readonly lines: Line[];
}

function startReplica(databaseUrl: string, instanceId: number): Replica {
  const child = spawn(process.execPath, [fileURLToPath(new URL('main.js', import.meta.url))], {
    env: {
      ...process.env,
      DATABASE_URL: databaseUrl,
      SCENARIO: 'long_horizon',
      PRODUCER_MODE: values.mode,
      PRODUCER_RATE: values.rate,
      TARGET_DEPTH: values.depth,
      PRODUCER_BATCH_MAX: values.batch,
      WORKER_COUNT: values.workers,
      BENCH_INSTANCE_ID: String(instanceId),
      PRODUCER_ONLY_INSTANCE_ZERO: '1',
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines: Line[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(JSON.parse(line) as Line));
  return { process: child, lines };
}

/** @returns how long it took, in milliseconds @throws Error when it did not end as the contract says */
async function endReplica({ process: child }: Replica): Promise<number> {
  const startedAt = performance.now();
  const ended = once(child, 'exit') as Promise<[number | null]>;
  child.kill('SIGTERM');
  const [code] = await ended;
  const tookMs = performance.now() - startedAt;
  if (code !== 0 || tookMs > END_MS)
    throw new Error(`a replica ended with ${code} after ${tookMs.toFixed(0)} ms`);
  return tookMs;
}

/** NaN for what a replica does not report. */
function medianOf(name: string, lines: readonly Line[]): number {
  const found = lines.filter(({ metric }) => metric === name).map(({ value }) => value);
  return found.toSorted((a, b) => a - b)[found.length >> 1] ?? Number.NaN;
}

const server = await startPostgres({ temporary: true, settings: SERVER_SETTINGS });
try {
  const replicas = Array.from({ length: Number(values.replicas) }, (_, id) => startReplica(server.url, id));
  const seconds = Number(values.seconds);
  await new Promise((resolve) => setTimeout(resolve, WARM_UP_S * 1_000));
  const skipped = replicas.map(({ lines }) => lines.length);
  await new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
  const endsMs = await Promise.all(replicas.map(endReplica));

  const names = new Set(replicas.flatMap(({ lines }) => lines.flatMap(({ metric }) => metric ?? [])));
  process.stdout.write(`${JSON.stringify(values)}\n`);
  for (const name of [...names].toSorted()) {
    const medians = replicas.map(({ lines }, id) => medianOf(name, lines.slice(skipped[id])));
    process.stdout.write(`${name.padEnd(24)} ${medians.map((value) => value.toFixed(1)).join('  ')}\n`);
  }
  process.stdout.write(`ended in ${endsMs.map((ms) => ms.toFixed(0)).join(', ')} ms\n`);
} finally {
  await server.stop();
}
