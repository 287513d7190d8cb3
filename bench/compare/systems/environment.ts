/** How a process produces, after its preload. */
export type ProducerMode = 'none' | 'fixed' | 'depth-target' | 'one-by-one';

const PRODUCER_MODES: readonly string[] = [
  'none',
  'fixed',
  'depth-target',
  'one-by-one',
] satisfies ProducerMode[];

/** What the runner asks of this process; see contract.md for each. */
export interface Environment {
  readonly databaseUrl: string | undefined;
  readonly redisUrl: string | undefined;
  readonly preload: number;
  readonly mode: ProducerMode;
  /** Jobs a second, in mode `fixed`. */
  readonly rate: number;
  readonly targetDepth: number;
  readonly pauseMs: number;
  readonly batchMax: number;
  readonly batchMs: number;
  /** Most enqueues under way at a time, in mode `depth-target`. */
  readonly callsMax: number;
  readonly workers: number;
  readonly queues: number;
  readonly payloadBytes: number;
  readonly workMs: number;
  readonly failFirstPercent: number;
  readonly instanceId: number;
  readonly instances: number;
  readonly tuning: string | undefined;
}

/** @throws Error naming the variable that is not what it should be */
export function readEnvironment(env: NodeJS.ProcessEnv = process.env): Environment {
  const text = (name: string) => (env[name] === '' ? undefined : env[name]);
  const number = (name: string, byDefault: number, least: number) => {
    const value = Number(text(name) ?? byDefault);
    if (!(value >= least)) throw new Error(`${name} must be a number from ${least}, not ${env[name]}`);
    return value;
  };
  const mode = text('PRODUCER_MODE') ?? 'none';
  if (!PRODUCER_MODES.includes(mode)) throw new Error(`PRODUCER_MODE ${mode} is not known`);

  return {
    databaseUrl: text('DATABASE_URL'),
    redisUrl: text('REDIS_URL'),
    preload: number('PRELOAD', 0, 0),
    mode: mode as ProducerMode,
    rate: number('PRODUCER_RATE', 1_000, 0),
    targetDepth: number('TARGET_DEPTH', 1_000, 1),
    pauseMs: number('PRODUCER_PAUSE_MS', 20, 0),
    batchMax: number('PRODUCER_BATCH_MAX', 128, 1),
    batchMs: number('PRODUCER_BATCH_MS', 10, 1),
    callsMax: number('PRODUCER_CALLS_MAX', 4, 1),
    workers: number('WORKER_COUNT', 0, 0),
    queues: number('QUEUES', 1, 1),
    payloadBytes: number('JOB_PAYLOAD_BYTES', 256, 0),
    workMs: number('JOB_WORK_MS', 1, 0),
    failFirstPercent: number('FAIL_FIRST_PERCENT', 0, 0),
    instanceId: number('INSTANCE_ID', 0, 0),
    instances: number('INSTANCES', 1, 1),
    tuning: text('TUNING'),
  };
}
