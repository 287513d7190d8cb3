import type { DynamicModule } from '@nestjs/common';
import { AwaModule, BootError, defineJob, InvalidOptionsError, QueueService } from 'nestjs-awa';
import { DataSource } from 'typeorm';
import { describe, expect, it } from 'vitest';
import { deferred } from '../support/signals.js';
import { handlerOf, jobIn } from '../support/test-app.js';
import { type TestDatabase, useTestDatabase } from '../support/test-database.js';
import { useNestApps } from './nest-apps.js';

const Greet = defineJob<{ name: string }>('greet');

const main = useTestDatabase();
const reports = useTestDatabase();
const apps = useNestApps();

/** Two DataSources, as an application with two databases has them. */
function twoDataSources(): DynamicModule[] {
  return [apps.typeOrm(main.url), apps.typeOrm(reports.url, 'reports')];
}

async function jobsStored(database: TestDatabase): Promise<number> {
  const { rows } = await database.query<{ jobs: number }>(
    'SELECT count(*)::int AS jobs FROM awa.ready_entries',
  );
  return rows[0]?.jobs ?? Number.NaN;
}

/** Starts an application, and runs a job in it. @returns how many jobs that has left in either database */
async function runJob(...imports: DynamicModule[]): Promise<{ main: number; reports: number }> {
  const before = { main: await jobsStored(main), reports: await jobsStored(reports) };
  const greeted = deferred<string>();
  const app = await apps.start({
    imports,
    providers: [handlerOf(Greet, ({ args }) => greeted.resolve(args.name))],
  });
  const queue = app.get(QueueService);
  const { id } = await queue.enqueue(Greet, { name: 'Ada' });
  expect(await greeted.promise).toBe('Ada');
  expect(await jobIn('completed', queue, id)).toMatchObject({ kind: 'greet', attempt: 1 });
  return {
    main: (await jobsStored(main)) - before.main,
    reports: (await jobsStored(reports)) - before.reports,
  };
}

describe('AwaModule.forRoot lives', () => {
  it('in the database of a connection string, without TypeORM', async () => {
    expect(await runJob(AwaModule.forRoot({ url: reports.url }))).toEqual({ main: 0, reports: 1 });
  });

  it('in the database of a connection string, beside a DataSource', async () => {
    const jobs = await runJob(...twoDataSources(), AwaModule.forRoot({ url: reports.url }));
    expect(jobs).toEqual({ main: 0, reports: 1 });
  });

  it('in the unnamed DataSource when nothing is said', async () => {
    expect(await runJob(...twoDataSources(), AwaModule.forRoot())).toEqual({ main: 1, reports: 0 });
  });

  it('in the unnamed DataSource by its name', async () => {
    const jobs = await runJob(AwaModule.forRoot({ dataSource: 'default' }), ...twoDataSources());
    expect(jobs).toEqual({ main: 1, reports: 0 });
  });

  it('in the DataSource that is named', async () => {
    const jobs = await runJob(...twoDataSources(), AwaModule.forRoot({ dataSource: 'reports' }));
    expect(jobs).toEqual({ main: 0, reports: 1 });
  });

  it('in the DataSource it is given, and leaves it open', async () => {
    const dataSource = await new DataSource({ type: 'postgres', url: reports.url }).initialize();
    const jobs = await runJob(...twoDataSources(), AwaModule.forRoot({ dataSource }));
    expect(jobs).toEqual({ main: 0, reports: 1 });
    expect(dataSource.isInitialized).toBe(true);
    await dataSource.destroy();
  });
});

describe('AwaModule.forRoot refuses', () => {
  /** The problems that keep an application from starting. */
  async function bootProblems(...imports: DynamicModule[]): Promise<readonly string[]> {
    const error: unknown = await apps.start({ imports }).catch((reason: unknown) => reason);
    if (!(error instanceof BootError)) throw new Error('not a BootError', { cause: error });
    return error.problems;
  }

  it('an application without DataSource, and says what to do', async () => {
    expect(await bootProblems(AwaModule.forRoot())).toEqual([
      'there is no TypeORM DataSource named "default": import TypeOrmModule.forRoot() in the root module, ' +
        'or pass AwaModule the option "url" or "dataSource"',
    ]);
  });

  it('the name of a DataSource that is not there', async () => {
    const problems = await bootProblems(apps.typeOrm(main.url), AwaModule.forRoot({ dataSource: 'typo' }));
    expect(problems).toEqual([expect.stringContaining('no TypeORM DataSource named "typo"')]);
  });

  it('a DataSource that is not open', async () => {
    const dataSource = new DataSource({ type: 'postgres', url: main.url });
    expect(await bootProblems(AwaModule.forRoot({ dataSource }))).toEqual([
      expect.stringContaining('initialize()'),
    ]);
  });

  it('what is no DataSource, instead of living somewhere else', async () => {
    const dataSource = { type: 'postgres', url: reports.url } as unknown as DataSource;
    const start = apps.start({ imports: [...twoDataSources(), AwaModule.forRoot({ dataSource })] });
    await expect(start).rejects.toBeInstanceOf(InvalidOptionsError);
  });
});
