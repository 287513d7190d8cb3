import {
  type DynamicModule,
  type FactoryProvider,
  Logger,
  Module,
  type Provider,
  type Type,
} from '@nestjs/common';
import { getDataSourceToken } from '@nestjs/typeorm';
import { DataSource } from 'typeorm';
import { AwaCoreModule } from './awa-core.module.js';
import { AwaWorkerModule } from './awa-worker.module.js';
import { BootError } from './errors/index.js';
import type { AwaModuleOptions } from './options/awa-module.options.js';
import { type ResolvedAwaOptions, resolveAwaOptions } from './options/resolve-options.js';
import { AWA_DATABASE, AWA_OPTIONS } from './options/tokens.js';
import { DataSourceDatabase } from './storage/connection/data-source.database.js';
import type { Database } from './storage/connection/database.js';
import { UrlDatabase } from './storage/connection/url.database.js';

/** Makes the options; for `useClass` and `useExisting`. @publicApi */
export interface AwaOptionsFactory {
  createAwaOptions(): AwaModuleOptions | Promise<AwaModuleOptions>;
}

/** Options of {@link AwaModule.forRootAsync}. @publicApi */
export interface AwaModuleAsyncOptions {
  readonly imports?: DynamicModule['imports'];
  /**
   * Name in Nest of the DataSource to live in; default: the unnamed one, if there is one. Here and not in the factory's
   * answer, since Nest has to know it beforehand. An answer with `url` or a DataSource object goes before it.
   */
  readonly dataSource?: string;
  readonly inject?: FactoryProvider['inject'];
  readonly useFactory?: (...dependencies: never[]) => AwaModuleOptions | Promise<AwaModuleOptions>;
  readonly useClass?: Type<AwaOptionsFactory>;
  readonly useExisting?: Type<AwaOptionsFactory>;
  readonly extraProviders?: Provider[];
}

const RAW_OPTIONS = Symbol('awa:raw_options');

/**
 * The library's module: import it once, in the root module, last. It gives every module a `QueueService`, and runs the
 * application's `@JobHandler()` providers.
 *
 * @example
 * ```ts
 * @Module({
 *   imports: [
 *     TypeOrmModule.forRoot({ type: 'postgres', url, entities }),
 *     AwaModule.forRoot({ migrate: 'run', queues: { email: { maxWorkers: 20 } } }),
 *   ],
 *   providers: [SendEmailHandler],
 * })
 * export class AppModule {}
 * ```
 *
 * @publicApi
 */
@Module({})
export class AwaModule {
  /**
   * @param options see {@link AwaModuleOptions}
   * @throws InvalidOptionsError that lists every problem, at boot
   */
  static forRoot(options: AwaModuleOptions = {}): DynamicModule {
    return assemble([], typeof options.dataSource === 'string' ? options.dataSource : undefined, [
      { provide: RAW_OPTIONS, useValue: options },
    ]);
  }

  /** As {@link forRoot}, with options that are made by a factory with dependencies. */
  static forRootAsync(options: AwaModuleAsyncOptions): DynamicModule {
    return assemble(options.imports, options.dataSource, [
      ...asyncProviders(options),
      ...(options.extraProviders ?? []),
    ]);
  }
}

function assemble(
  imports: DynamicModule['imports'],
  dataSource: string | undefined,
  providers: Provider[],
): DynamicModule {
  const core = AwaCoreModule.register(imports, [
    ...providers,
    { provide: AWA_OPTIONS, useFactory: resolveAwaOptions, inject: [RAW_OPTIONS] },
    {
      provide: AWA_DATABASE,
      useFactory: (raw: AwaModuleOptions, options: ResolvedAwaOptions, named?: DataSource) =>
        openDatabase(raw, options, named, dataSource),
      inject: [RAW_OPTIONS, AWA_OPTIONS, { token: getDataSourceToken(dataSource), optional: true }],
    },
  ]);
  return { module: AwaModule, imports: [core, AwaWorkerModule] };
}

function asyncProviders({ inject, useFactory, useClass, useExisting }: AwaModuleAsyncOptions): Provider[] {
  if (useFactory !== undefined) {
    return [
      {
        provide: RAW_OPTIONS,
        useFactory: useFactory as (...all: unknown[]) => unknown,
        inject: inject ?? [],
      },
    ];
  }
  const factory = useClass ?? useExisting;
  if (factory === undefined)
    throw new BootError(['AwaModule.forRootAsync() needs useFactory, useClass or useExisting']);
  return [
    ...(useClass === undefined ? [] : [useClass]),
    {
      provide: RAW_OPTIONS,
      useFactory: (made: AwaOptionsFactory) => made.createAwaOptions(),
      inject: [factory],
    },
  ];
}

function openDatabase(
  raw: AwaModuleOptions,
  { schema, directUrl }: ResolvedAwaOptions,
  named: DataSource | undefined,
  name = 'default',
): Database {
  const logger = new Logger('Awa');
  if (raw.url !== undefined) {
    return new UrlDatabase(
      raw.url,
      schema,
      (error) => logger.warn(`an idle connection broke: ${error.message}`),
      directUrl,
    );
  }
  if (typeof raw.dataSource === 'string' && raw.dataSource !== name) {
    throw new BootError([
      `the factory of forRootAsync() answered with the DataSource "${raw.dataSource}", whose name has to be known before: pass forRootAsync() itself the option "dataSource"`,
    ]);
  }
  const dataSource = raw.dataSource instanceof DataSource ? raw.dataSource : named;
  if (dataSource === undefined) {
    throw new BootError([
      `there is no TypeORM DataSource named "${name}": import TypeOrmModule.forRoot() in the root module, or pass AwaModule the option "url" or "dataSource"`,
    ]);
  }
  if (!dataSource.isInitialized) {
    throw new BootError([
      `the TypeORM DataSource is not open: call its initialize() before the application starts`,
    ]);
  }
  return new DataSourceDatabase(dataSource, schema, directUrl);
}
