import { AwaModule, type AwaModuleOptions, InvalidOptionsError } from 'nestjs-awa';
import type { DataSource } from 'typeorm';
import { expect, it } from 'vitest';
import { useNestApps } from './nest-apps.js';

const apps = useNestApps();

/** Nothing listens there: whoever tried to connect would be told so, and not of the options. */
const NOWHERE = 'postgres://127.0.0.1:1/none';

async function problems(options: AwaModuleOptions): Promise<readonly string[]> {
  const error: unknown = await apps
    .start({ imports: [AwaModule.forRoot(options)] })
    .catch((reason: unknown) => reason);
  if (!(error instanceof InvalidOptionsError))
    throw new Error('not an InvalidOptionsError', { cause: error });
  for (const problem of error.problems) expect(error.message).toContain(problem);
  return error.problems;
}

it('lists every problem of the options at once, before anything connects', async () => {
  const options = {
    url: NOWHERE,
    dataSource: 'default',
    directUrl: '',
    schema: 'a-b',
    migrate: 'yes',
    connectRetryMs: -1,
    queues: { ' email': { maxWorkers: 0 }, reports: { maxWorker: 3, timeout: -1 }, images: null },
    worker: {
      queues: ['emails'],
      pollIntervalMs: 1,
      heartbeatIntervalMs: 1_000,
      heartbeatStaleMs: 2_000,
      shutdownTimeoutMs: 0.5,
      retries: 3,
    },
    maxArgsBytes: 0,
    conectRetryMs: 5,
  } as unknown as AwaModuleOptions;

  expect(await problems(options)).toEqual([
    expect.stringContaining('AwaModule has no option "conectRetryMs"'),
    'pass either url or dataSource, not both',
    expect.stringContaining('directUrl must be a connection string'),
    'migrate must be "run", "check" or "off"',
    expect.stringContaining('schema "a-b" is not usable'),
    'connectRetryMs must be a whole number from 0 to 86400000, not -1',
    'queue " email" must not begin or end with white space',
    'queues. email.maxWorkers must be a whole number from 1 to 10000, not 0',
    'queues.reports has no option "maxWorker" (known: maxWorkers, minWorkers, weight, rateLimit, prefetch, aging, shards, deadLetter, timeout)',
    'queues.reports.timeout must be a whole number of milliseconds from 0 (none) to 2073600000 (24 days), not -1',
    'queues.images must be an object, not null',
    expect.stringContaining('worker has no option "retries"'),
    expect.stringContaining(
      'worker.heartbeatStaleMs must be at least three heartbeat intervals (3000), not 2000',
    ),
    'worker.queues names "emails", which is not in queues',
    'worker.pollIntervalMs must be a whole number from 10 to 60000, not 1',
    'worker.shutdownTimeoutMs must be a whole number from 0 to 3600000, not 0.5',
    'maxArgsBytes must be a whole number from 1 to 67108864, not 0',
  ]);
});

it.each<[string, AwaModuleOptions, string[]]>([
  [
    'weights of no pool',
    { url: NOWHERE, queues: { a: { weight: 2 }, b: { minWorkers: 1 } } },
    [
      'queues.a.weight means nothing without worker.globalMaxWorkers',
      'queues.b.minWorkers means nothing without worker.globalMaxWorkers',
    ],
  ],
  [
    'a pool that is too small',
    { url: NOWHERE, worker: { globalMaxWorkers: 5 }, queues: { a: { minWorkers: 3 }, b: { minWorkers: 3 } } },
    ['the minWorkers of all queues add up to 6, which is more than worker.globalMaxWorkers (5)'],
  ],
  [
    'a queue that would never run a job, and one with more workers than there are',
    {
      url: NOWHERE,
      worker: { globalMaxWorkers: 5 },
      queues: { a: { minWorkers: 5 }, b: {}, c: { maxWorkers: 6 } },
    },
    [
      'queues.b would never run a job: the minWorkers of the others take up worker.globalMaxWorkers (5)',
      'queues.c.maxWorkers (6) must not be more than worker.globalMaxWorkers (5)',
      'queues.c would never run a job: the minWorkers of the others take up worker.globalMaxWorkers (5)',
    ],
  ],
  [
    'limits that are none',
    {
      url: NOWHERE,
      worker: { globalMaxWorkers: 0 },
      queues: {
        a: { maxWorkers: 2, minWorkers: 3, prefetch: 1 },
        b: { rateLimit: 5 },
        c: { rateLimit: { max: 0, per: 3 } },
      },
    } as unknown as AwaModuleOptions,
    [
      'worker.globalMaxWorkers must be a whole number from 1 to 10000, not 0',
      'queues.a.prefetch must be true or false, not 1',
      'queues.a.minWorkers (3) must not be more than its maxWorkers (2)',
      'queues.b.rateLimit must be an object such as { max: 10, perMs: 1000 }, not 5',
      'queues.c.rateLimit has no option "per" (known: max, perMs, burst)',
      'queues.c.rateLimit.perMs is missing',
      'queues.c.rateLimit.max must be a whole number from 1 to 1000000, not 0',
      'the minWorkers of all queues add up to 3, which is more than worker.globalMaxWorkers (1)',
    ],
  ],
])('refuses %s', async (_what, options, expected) => {
  expect(await problems(options)).toEqual(expected);
});

it.each<[string, AwaModuleOptions, string]>([
  ['no queue', { url: NOWHERE, queues: {} }, 'queues must name at least one queue'],
  ['a worker without queue', { url: NOWHERE, worker: { queues: [] } }, 'set worker to false'],
  ['an empty connection string', { url: '' }, 'url must be a connection string'],
  ['an empty name', { dataSource: '' }, 'dataSource must be a TypeORM DataSource, or the name'],
  ['what is no DataSource', { dataSource: {} as DataSource }, 'dataSource must be a TypeORM DataSource'],
])('refuses %s', async (_what, options, problem) => {
  expect(await problems(options)).toEqual([expect.stringContaining(problem)]);
});
