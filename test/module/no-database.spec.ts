import type { LoggerService } from '@nestjs/common';
import {
  AwaModule,
  type AwaModuleOptions,
  DatabaseUnavailableError,
  defineJob,
  QueueService,
} from 'nestjs-awa';
import { beforeEach, describe, expect, it } from 'vitest';
import { until } from '../support/signals.js';
import { handlerOf, jobIn } from '../support/test-app.js';
import { useTestDatabase } from '../support/test-database.js';
import { useGate } from './gate.js';
import { useNestApps } from './nest-apps.js';

const Work = defineJob('work');

const database = useTestDatabase();
const gate = useGate(database);
const apps = useNestApps();

let warnings: string[];

beforeEach(() => {
  warnings = [];
});

const logger: LoggerService = {
  log: () => undefined,
  error: () => undefined,
  warn: (message: unknown) => warnings.push(String(message)),
};

async function start(options: AwaModuleOptions): Promise<QueueService> {
  const imports = [AwaModule.forRoot({ url: gate.url, ...options })];
  const app = await apps.start({ imports, providers: [handlerOf(Work, () => undefined)] }, logger);
  return app.get(QueueService);
}

async function failure(options: AwaModuleOptions): Promise<{ error: unknown; afterMs: number }> {
  const startedAt = performance.now();
  const error: unknown = await start(options).catch((reason: unknown) => reason);
  return { error, afterMs: performance.now() - startedAt };
}

describe.each(['run', 'check', 'off'] as const)('boot without database (migrate: %s)', (migrate) => {
  it('fails at the first attempt when it may not wait', async () => {
    const { error } = await failure({ migrate, connectRetryMs: 0 });
    expect(error).toBeInstanceOf(DatabaseUnavailableError);
    expect(error).toMatchObject({ operation: 'boot', cause: expect.any(Error) });
    expect(gate.visits).toBe(1);
    expect(warnings).toEqual([]);
  });

  it('succeeds when the database appears while it waits', async () => {
    const starting = start({ migrate });
    await until(async () => gate.visits >= 2, { what: 'a second attempt' });
    gate.state = 'open';
    const queue = await starting;
    const { id } = await queue.enqueue(Work, {});
    await jobIn('completed', queue, id);
    expect(warnings[0]).toMatch(/^no database yet \(.+\): trying for another 30 s$/);
  });
});

describe('boot without database', () => {
  it('says so when nothing listens', async () => {
    const { error } = await failure({ url: 'postgres://127.0.0.1:1/none', connectRetryMs: 0 });
    expect(error).toBeInstanceOf(DatabaseUnavailableError);
    expect(error).toMatchObject({ cause: { code: 'ECONNREFUSED' } });
  });

  it('waits as long as it is told to, and no longer', async () => {
    const { error, afterMs } = await failure({ connectRetryMs: 1_200 });
    expect(error).toBeInstanceOf(DatabaseUnavailableError);
    expect(afterMs).toBeGreaterThanOrEqual(1_200);
    // At once, after the interval of a second, and at the end.
    expect(gate.visits).toBe(3);
    expect(warnings).toHaveLength(2);
  });

  it('does not wait for a database that the server does not have', async () => {
    gate.state = 'open';
    const url = new URL(gate.url);
    url.pathname = '/typo';
    // invalid_catalog_name
    expect((await failure({ url: url.toString() })).error).toMatchObject({ code: '3D000' });
    expect(gate.visits).toBe(1);
  });
});
