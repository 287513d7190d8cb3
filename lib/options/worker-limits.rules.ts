import { show, timeoutProblems, unknownKeyProblems } from '../jobs/job-options.rules.js';
import type { QueueOptions, RateLimitOptions } from './awa-module.options.js';

/** How much of a queue a process does at a time, with every default filled in. */
export interface ResolvedQueueLimits {
  readonly name: string;
  readonly maxWorkers: number;
  /** Of a common pool: the workers that are the queue's own, and its part of the rest. */
  readonly minWorkers: number;
  readonly weight: number;
  readonly rateLimit: Required<RateLimitOptions> | undefined;
  readonly prefetch: boolean;
  /** For how long an attempt may take, in milliseconds; 0: for ever. */
  readonly timeoutMs: number;
}

/** Checks a whole number, notes the problem, and gives the number or the default. */
export type IntegerCheck = (
  label: string,
  value: number | undefined,
  fallback: number,
  least: number,
  most: number,
) => number;

const RATE_LIMIT_KEYS = Object.keys({
  max: true,
  perMs: true,
  burst: true,
} satisfies Record<keyof RateLimitOptions, true>);

const DEFAULT_MAX_WORKERS = 50;
const MAX_WORKERS = 10_000;

/** The limits of one queue. What only means something with a common pool is refused without one. */
export function queueLimits(
  name: string,
  options: QueueOptions,
  globalMaxWorkers: number | undefined,
  problems: string[],
  integer: IntegerCheck,
): ResolvedQueueLimits {
  const label = `queues.${name}`;
  const { prefetch = true, timeout = 0 } = options;
  const fallback = globalMaxWorkers ?? DEFAULT_MAX_WORKERS;
  const maxWorkers = integer(`${label}.maxWorkers`, options.maxWorkers, fallback, 1, MAX_WORKERS);
  const minWorkers = integer(`${label}.minWorkers`, options.minWorkers, 0, 0, MAX_WORKERS);
  const weight = integer(`${label}.weight`, options.weight, 1, 1, 1_000);
  if (typeof prefetch !== 'boolean')
    problems.push(`${label}.prefetch must be true or false, not ${show(prefetch)}`);
  if (minWorkers > maxWorkers) {
    problems.push(`${label}.minWorkers (${minWorkers}) must not be more than its maxWorkers (${maxWorkers})`);
  }
  problems.push(...timeoutProblems(`${label}.timeout`, timeout));
  const limit = rateLimit(`${label}.rateLimit`, options.rateLimit, problems, integer);
  return {
    name,
    maxWorkers,
    minWorkers,
    weight,
    rateLimit: limit,
    // Ahead of its time a job of a common pool would be ahead of other queues' turns, and one of a rate limit would not be counted right.
    prefetch: prefetch && limit === undefined && globalMaxWorkers === undefined,
    timeoutMs: timeout,
  };
}

/** What is wrong with the limits of the queues that a process works on, taken together. */
export function poolProblems(
  queues: readonly ResolvedQueueLimits[],
  given: Readonly<Record<string, QueueOptions>>,
  globalMaxWorkers: number | undefined,
): string[] {
  if (globalMaxWorkers === undefined) {
    return queues.flatMap(({ name }) =>
      (['minWorkers', 'weight'] as const)
        .filter((option) => given[name]?.[option] !== undefined)
        .map((option) => `queues.${name}.${option} means nothing without worker.globalMaxWorkers`),
    );
  }
  const kept = queues.reduce((sum, { minWorkers }) => sum + minWorkers, 0);
  if (kept > globalMaxWorkers) {
    return [
      `the minWorkers of all queues add up to ${kept}, which is more than worker.globalMaxWorkers (${globalMaxWorkers})`,
    ];
  }
  return queues.flatMap(({ name, maxWorkers, minWorkers }) => [
    ...(maxWorkers > globalMaxWorkers
      ? [
          `queues.${name}.maxWorkers (${maxWorkers}) must not be more than worker.globalMaxWorkers (${globalMaxWorkers})`,
        ]
      : []),
    ...(kept === globalMaxWorkers && minWorkers === 0
      ? [
          `queues.${name} would never run a job: the minWorkers of the others take up worker.globalMaxWorkers (${kept})`,
        ]
      : []),
  ]);
}

function rateLimit(
  label: string,
  given: RateLimitOptions | undefined,
  problems: string[],
  integer: IntegerCheck,
): Required<RateLimitOptions> | undefined {
  if (given === undefined) return undefined;
  if (typeof given !== 'object' || given === null) {
    problems.push(`${label} must be an object such as { max: 10, perMs: 1000 }, not ${show(given)}`);
    return undefined;
  }
  problems.push(...unknownKeyProblems(label, given, RATE_LIMIT_KEYS));
  for (const key of ['max', 'perMs'] as const) {
    if (given[key] === undefined) problems.push(`${label}.${key} is missing`);
  }
  const max = integer(`${label}.max`, given.max, 1, 1, 1_000_000);
  const perMs = integer(`${label}.perMs`, given.perMs, 1_000, 1, 86_400_000);
  const aSecond = Math.min(Math.ceil((max * 1_000) / perMs), 1_000_000);
  return { max, perMs, burst: integer(`${label}.burst`, given.burst, aSecond, 1, 1_000_000) };
}
