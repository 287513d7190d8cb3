import { Global, Inject, Injectable, Module } from '@nestjs/common';
import {
  AwaModule,
  type AwaModuleAsyncOptions,
  type AwaModuleOptions,
  type AwaOptionsFactory,
  BootError,
  defineJob,
  InvalidOptionsError,
  QueueService,
} from 'nestjs-awa';
import { DataSource } from 'typeorm';
import { describe, expect, it } from 'vitest';
import { deferred } from '../support/signals.js';
import { handlerOf, jobIn } from '../support/test-app.js';
import { useTestDatabase } from '../support/test-database.js';
import { useNestApps } from './nest-apps.js';

const Greet = defineJob<{ name: string }>('greet', { queue: 'greetings' });

const database = useTestDatabase();
const other = useTestDatabase();
const apps = useNestApps();

const QUEUES: AwaModuleOptions = { queues: { greetings: {} } };

/** What `@nestjs/config` is to applications. */
@Injectable()
class Config {
  get(name: 'DATABASE_URL'): string {
    return { DATABASE_URL: database.url }[name];
  }
}

@Global()
@Module({ providers: [Config], exports: [Config] })
class ConfigModule {}

@Injectable()
class OptionsFromConfig implements AwaOptionsFactory {
  constructor(@Inject(Config) private readonly config: Config) {}

  createAwaOptions(): AwaModuleOptions {
    return { ...QUEUES, url: this.config.get('DATABASE_URL') };
  }
}

@Module({ providers: [OptionsFromConfig], exports: [OptionsFromConfig] })
class OptionsModule {}

/** Runs a job in an application with these options. @returns what the database has of it */
async function runJob(options: AwaModuleAsyncOptions, ...imports: object[]): Promise<unknown[]> {
  const greeted = deferred<string>();
  const app = await apps.start({
    imports: [...(imports as [typeof ConfigModule]), AwaModule.forRootAsync(options)],
    providers: [handlerOf(Greet, ({ args }) => greeted.resolve(args.name))],
  });
  const queue = app.get(QueueService);
  const { id } = await queue.enqueue(Greet, { name: 'Ada' });
  expect(await greeted.promise).toBe('Ada');
  await jobIn('completed', queue, id);
  const { rows } = await database.query('SELECT kind FROM awa.ready_entries WHERE job_id = $1', [id]);
  return rows;
}

const STORED = [{ kind: 'greet' }];

async function refusal(options: AwaModuleAsyncOptions, ...imports: object[]): Promise<unknown> {
  return runJob(options, ...imports).catch((error: unknown) => error);
}

describe('AwaModule.forRootAsync takes its options', () => {
  it('from useFactory with a service of a global module', async () => {
    const stored = await runJob(
      {
        inject: [Config],
        useFactory: async (config: Config) => ({ ...QUEUES, url: config.get('DATABASE_URL') }),
      },
      ConfigModule,
    );
    expect(stored).toEqual(STORED);
  });

  it('from useFactory with what extraProviders add', async () => {
    const stored = await runJob(
      {
        inject: ['QUEUES', Config],
        extraProviders: [{ provide: 'QUEUES', useValue: QUEUES }],
        useFactory: (queues: AwaModuleOptions, config: Config) => ({
          ...queues,
          url: config.get('DATABASE_URL'),
        }),
      },
      ConfigModule,
    );
    expect(stored).toEqual(STORED);
  });

  it('from useClass, a class with dependencies', async () => {
    const stored = await runJob({ useClass: OptionsFromConfig }, ConfigModule);
    expect(stored).toEqual(STORED);
  });

  it('from useExisting, a provider of an imported module', async () => {
    const stored = await runJob({ imports: [OptionsModule], useExisting: OptionsFromConfig }, ConfigModule);
    expect(stored).toEqual(STORED);
  });

  it('and lives in the unnamed DataSource when they name none', async () => {
    const stored = await runJob(
      { useFactory: () => QUEUES },
      apps.typeOrm(database.url),
      apps.typeOrm(other.url, 'other'),
    );
    expect(stored).toEqual(STORED);
  });

  it('and lives in the DataSource that is named beside the factory', async () => {
    const stored = await runJob(
      { dataSource: 'main', useFactory: () => QUEUES },
      apps.typeOrm(other.url),
      apps.typeOrm(database.url, 'main'),
    );
    expect(stored).toEqual(STORED);
  });

  it('and prefers a DataSource object that the factory answers', async () => {
    const dataSource = await new DataSource({ type: 'postgres', url: database.url }).initialize();
    const stored = await runJob({ useFactory: () => ({ ...QUEUES, dataSource }) }, apps.typeOrm(other.url));
    expect(stored).toEqual(STORED);
    await dataSource.destroy();
  });
});

describe('AwaModule.forRootAsync refuses', () => {
  it('to be called without any of the three', () => {
    expect(() => AwaModule.forRootAsync({})).toThrow(BootError);
  });

  it('a DataSource whose name only the factory knows, instead of taking another one', async () => {
    const error = await refusal(
      { useFactory: () => ({ ...QUEUES, dataSource: 'main' }) },
      apps.typeOrm(other.url),
      apps.typeOrm(database.url, 'main'),
    );
    expect(error).toBeInstanceOf(BootError);
    expect(error).toMatchObject({
      problems: [expect.stringContaining('pass forRootAsync() itself the option "dataSource"')],
    });
  });

  it('a missing DataSource', async () => {
    expect(await refusal({ useFactory: () => QUEUES })).toMatchObject({
      problems: [expect.stringContaining('there is no TypeORM DataSource named "default"')],
    });
  });

  it('options with problems', async () => {
    const error = await refusal({ useFactory: () => ({ url: database.url, schema: 'a b', queues: {} }) });
    expect(error).toBeInstanceOf(InvalidOptionsError);
    expect(error).toMatchObject({ problems: [expect.any(String), expect.any(String)] });
  });

  it('no options, and passes on what a factory throws', async () => {
    const nothing = (() => undefined) as unknown as () => AwaModuleOptions;
    expect(await refusal({ useFactory: nothing })).toMatchObject({
      problems: ['the options must be an object, not undefined'],
    });
    const reason = new Error('no such secret');
    expect(await refusal({ useFactory: () => Promise.reject(reason) })).toBe(reason);
  });
});
