import { inspect } from 'node:util';

import { type INestApplicationContext, type LoggerService, Module, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import {
  AwaModule,
  type AwaModuleOptions,
  type JobDefinition,
  JobHandler,
  type JobHandlerFor,
  type JobSnapshot,
  type JobState,
  QueueService,
} from 'nestjs-awa';
import { afterEach, beforeEach, expect } from 'vitest';

import { until } from './signals.js';
import type { TestDatabase } from './test-database.js';

/** What an application of a test consists of. */
export interface TestAppOptions extends AwaModuleOptions {
  /** Made by {@link handlerOf}, or classes with `@JobHandler()`. */
  readonly handlers?: readonly Type[];
}

/** A real application, started. */
export interface TestApp {
  readonly app: INestApplicationContext;
  readonly queue: QueueService;
  /** Legal any number of times. */
  close(): Promise<void>;
}

export interface TestApps {
  /** Starts an application, which is closed at the end of the test. */
  start(options?: TestAppOptions): Promise<TestApp>;
  /** What the applications of this test have logged, a line each: `WARN [Awa claimer] …`. */
  readonly logs: readonly string[];
}

/**
 * Starts Nest applications on a test database and closes them after each test, in the reverse order.
 *
 * @example
 * const database = useTestDatabase();
 * const apps = useTestApps(database);
 * const done = deferred<string>();
 * const { queue } = await apps.start({ handlers: [handlerOf(Greet, ({ args }) => done.resolve(args.name))] });
 */
export function useTestApps(database: Pick<TestDatabase, 'url'>): TestApps {
  const started: TestApp[] = [];
  const logs: string[] = [];

  afterEach(async () => {
    for (const app of started.splice(0).toReversed()) await app.close();
    logs.length = 0;
  });

  return {
    logs,
    start: async (options = {}) => {
      const app = await startApp(
        options.dataSource === undefined ? { url: database.url, ...options } : options,
        collector(logs),
      );
      started.push(app);
      return app;
    },
  };
}

/** Fails a test in which a promise was rejected, or an error thrown, that nobody took care of: it would end a process. */
export function failOnUnhandled(): void {
  let unhandled: unknown[] = [];
  const collect = (reason: unknown) => unhandled.push(reason);

  beforeEach(() => {
    unhandled = [];
    process.on('unhandledRejection', collect).on('uncaughtException', collect);
  });

  afterEach(() => {
    process.off('unhandledRejection', collect).off('uncaughtException', collect);
    expect(unhandled).toEqual([]);
  });
}

/** A handler class for a definition out of a function. */
export function handlerOf<Definition extends JobDefinition>(
  definition: Definition,
  handle: JobHandlerFor<Definition>['handle'],
): Type {
  class Handler {
    readonly handle = handle;
  }
  JobHandler(definition)(Handler);
  return Handler;
}

/** Waits until a job is in a state, and answers the job. */
export async function jobIn(
  state: JobState,
  queue: QueueService,
  id: string,
  timeoutMs = 10_000,
): Promise<JobSnapshot> {
  return until(
    async () => {
      const job = await queue.getJob(id);
      return job !== null && job.state === state && job;
    },
    { what: `job ${id} being ${state}`, timeoutMs },
  );
}

async function startApp(
  { handlers = [], ...options }: TestAppOptions,
  logger: LoggerService,
): Promise<TestApp> {
  @Module({ imports: [AwaModule.forRoot(options)], providers: [...handlers] })
  // oxlint-disable-next-line typescript/no-extraneous-class -- a Nest module is an empty class
  class AppModule {}
  const app = await NestFactory.createApplicationContext(AppModule, { logger, abortOnError: false });
  let closing: Promise<void> | undefined;
  return {
    app,
    queue: app.get(QueueService),
    close: async () => {
      closing ??= app.close();
      await closing;
    },
  };
}

function collector(logs: string[]): LoggerService {
  const write =
    (level: string) =>
    (message: unknown, ...rest: unknown[]) => {
      const text = typeof message === 'string' ? message : inspect(message);
      logs.push(`${level} [${String(rest.at(-1))}] ${text}`);
    };
  return { log: write('LOG'), warn: write('WARN'), error: write('ERROR'), fatal: write('FATAL') };
}
