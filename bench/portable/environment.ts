import { readFileSync } from 'node:fs';

/** What the harness asks for, in the units of its variables. */
export interface PortableEnvironment {
  readonly databaseUrl: string;
  /** `fixed` offers a rate, `depth-target` keeps so many jobs waiting. */
  readonly mode: 'fixed' | 'depth-target';
  /** Jobs a second, as it is now: the harness may change it under way. */
  rate(): number;
  readonly targetDepth: number;
  /** Most jobs of one transaction of the producer. */
  readonly batchMax: number;
  /** How long the producer collects a batch, in milliseconds. */
  readonly batchMs: number;
  readonly workers: number;
  readonly payloadBytes: number;
  /** What a handler takes for one job, in milliseconds. */
  readonly workMs: number;
  readonly sampleEveryS: number;
  /** Of this replica, from 0; the first one reports what concerns all of them. */
  readonly instanceId: number;
  readonly produces: boolean;
}

/**
 * @throws Error naming the variable that is missing or is not what it should be
 */
export function readEnvironment(env: NodeJS.ProcessEnv = process.env): PortableEnvironment {
  const databaseUrl = env['DATABASE_URL'];
  if (databaseUrl === undefined || databaseUrl === '') throw new Error('DATABASE_URL is not set');
  const scenario = env['SCENARIO'] ?? 'long_horizon';
  if (scenario !== 'long_horizon') throw new Error(`SCENARIO ${scenario} is not known`);
  const mode = env['PRODUCER_MODE'] ?? 'fixed';
  if (mode !== 'fixed' && mode !== 'depth-target') throw new Error(`PRODUCER_MODE ${mode} is not known`);

  const number = (name: string, byDefault: number, least: number) => {
    const text = env[name];
    const value = text === undefined || text === '' ? byDefault : Number(text);
    if (!(value >= least)) throw new Error(`${name} must be a number from ${least}, not ${text}`);
    return value;
  };
  const rate = number('PRODUCER_RATE', 800, 0);
  const rateFile = env['PRODUCER_RATE_CONTROL_FILE'];
  const instanceId = number('BENCH_INSTANCE_ID', 0, 0);
  return {
    databaseUrl,
    mode,
    rate: () => (rateFile === undefined ? undefined : readRate(rateFile)) ?? rate,
    targetDepth: number('TARGET_DEPTH', 1_000, 1),
    batchMax: number('PRODUCER_BATCH_MAX', 128, 1),
    batchMs: number('PRODUCER_BATCH_MS', 10, 1),
    workers: number('WORKER_COUNT', 32, 1),
    payloadBytes: number('JOB_PAYLOAD_BYTES', 256, 0),
    workMs: number('JOB_WORK_MS', 1, 0),
    sampleEveryS: number('SAMPLE_EVERY_S', 5, 0.1),
    instanceId,
    produces: instanceId === 0 || env['PRODUCER_ONLY_INSTANCE_ZERO'] !== '1',
  };
}

/** Undefined while the harness is about to write it. */
function readRate(file: string): number | undefined {
  try {
    const rate = Number.parseFloat(readFileSync(file, 'utf8'));
    return rate >= 0 ? rate : undefined;
  } catch {
    return undefined;
  }
}
