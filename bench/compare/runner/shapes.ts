/** What a run does: which processes it has, what they are told, and which part of the time is measured. */
export interface Shape {
  readonly name: string;
  readonly title: string;
  readonly processes: number;
  /** Of one process. */
  readonly env: Readonly<Record<string, string>>;
  readonly warmUpS: number;
  readonly measureS: number;
  /** Jobs that wait before the workers start. */
  readonly preload: number;
  /**
   * `self`: the worker process preloads, and says itself when it has drained that, to the millisecond.
   * `apart`: a process without workers preloads and ends, then the worker process begins.
   */
  readonly preloadBy: 'self' | 'apart';
  /** Until everything preloaded is done, instead of a measured time. */
  readonly untilDrained: boolean;
  /** A job that waited in a backlog was picked up late because of the backlog: its delay says nothing. */
  readonly hasPickup: boolean;
  /** A retried job is started twice, so that started jobs no longer tell what waits. */
  readonly hasBacklog: boolean;
  /** The rate without a held transaction is taken for so long before it begins. 0: none is held. */
  readonly cleanS: number;
  /** Length of the slices that a rate over time is given in. */
  readonly sliceS: number;
  /** Systems that take part unless others are asked for. Default: all. */
  readonly systems?: readonly string[];
}

const WORKERS = 64;

interface Durations {
  readonly warmUpS: number;
  readonly measureS: number;
}

export function createShapes(isQuick: boolean): readonly Shape[] {
  const warmUpS = isQuick ? 3 : 5;
  const usual: Durations = { warmUpS, measureS: isQuick ? 8 : 20 };
  const waiting = (depth: number) => ({ PRODUCER_MODE: 'depth-target', TARGET_DEPTH: String(depth) });

  const shape = (
    name: string,
    title: string,
    env: Record<string, string>,
    change: Partial<Shape> = {},
  ): Shape => ({
    name,
    title,
    processes: 1,
    env: { WORKER_COUNT: String(WORKERS), JOB_PAYLOAD_BYTES: '256', JOB_WORK_MS: '1', ...env },
    ...usual,
    preload: 0,
    preloadBy: 'apart',
    untilDrained: false,
    hasPickup: true,
    hasBacklog: true,
    cleanS: 0,
    sliceS: 30,
    ...change,
  });

  const drained = isQuick ? 30_000 : 100_000;
  const backlog = isQuick ? 100_000 : 1_000_000;
  const jobs = (count: number) => count.toLocaleString('en');
  return [
    shape(
      'drain',
      `${jobs(drained)} waiting jobs until all are done`,
      {},
      {
        warmUpS: 0,
        preload: drained,
        preloadBy: 'self',
        untilDrained: true,
        hasPickup: false,
        hasBacklog: false,
      },
    ),
    shape('depth', '4,000 kept waiting', waiting(4_000)),
    shape('fixed', '5,000 jobs/s are enqueued', { PRODUCER_MODE: 'fixed', PRODUCER_RATE: '5000' }),
    shape(
      'latency',
      'one job at a time on an idle queue',
      { PRODUCER_MODE: 'one-by-one', PRODUCER_PAUSE_MS: '20' },
      isQuick ? {} : { measureS: 15 },
    ),
    shape(
      'processes',
      '4 processes with 16 workers each, 1,000 kept waiting by each',
      { ...waiting(1_000), WORKER_COUNT: '16' },
      { processes: 4 },
    ),
    shape('pinned', 'a transaction is held open, 4,000 kept waiting', waiting(4_000), {
      cleanS: isQuick ? 5 : 30,
      measureS: isQuick ? 20 : 300,
      sliceS: isQuick ? 5 : 30,
      systems: ['awa', 'graphile', 'pg-boss', 'awa-rust', 'river'],
    }),
    shape(
      'retries',
      '30 % fail once, 4,000 kept waiting',
      { ...waiting(4_000), FAIL_FIRST_PERCENT: '30' },
      { hasBacklog: false },
    ),
    shape('queues', '4 queues with 16 workers each, 4,000 kept waiting in all', {
      ...waiting(4_000),
      QUEUES: '4',
    }),
    // What grows with the number of processes and of queues; one of each is `depth`, four processes are `processes`.
    ...[2, 8].map((processes) =>
      shape(
        `processes-${processes}`,
        `${processes} processes with ${WORKERS / processes} workers each, ${4_000 / processes} kept waiting by each`,
        { ...waiting(4_000 / processes), WORKER_COUNT: String(WORKERS / processes) },
        { processes, systems: ['awa'] },
      ),
    ),
    // A batch goes to one queue: with fewer than a batch waiting for each, most queues would have nothing.
    ...[10, 50, 200].map((queues) =>
      shape(
        `queues-${queues}`,
        `${queues} queues, ${jobs(256 * queues)} kept waiting in all`,
        {
          ...waiting(256 * queues),
          QUEUES: String(queues),
          WORKER_COUNT: String(Math.max(WORKERS, queues)),
        },
        { systems: ['awa'] },
      ),
    ),
    // A quick backlog lasts a fast system for a few seconds only.
    shape(
      'backlog',
      `${jobs(backlog)} waiting jobs, none added`,
      {},
      {
        preload: backlog,
        hasPickup: false,
        ...(isQuick ? { warmUpS: 1 } : {}),
      },
    ),
  ];
}
