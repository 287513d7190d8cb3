import {
  type DynamicModule,
  type INestApplicationContext,
  type LoggerService,
  Module,
  type ModuleMetadata,
} from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { TypeOrmModule } from '@nestjs/typeorm';
import { DataSource } from 'typeorm';
import { afterEach } from 'vitest';

const SILENT: LoggerService = { log: () => undefined, warn: () => undefined, error: () => undefined };

export interface NestApps {
  /** Starts an application with this root module, and closes it at the end of the test. */
  start(root: ModuleMetadata, logger?: LoggerService): Promise<INestApplicationContext>;
  /** The application's DataSource. Nobody else closes it when the application cannot start. */
  typeOrm(url: string, name?: string): DynamicModule;
}

/**
 * Starts applications of any shape as `main.ts` does. One that cannot start is not closed by anybody, as in real life: what
 * it has opened by then is its own business.
 */
export function useNestApps(): NestApps {
  const started: INestApplicationContext[] = [];
  const dataSources: DataSource[] = [];

  afterEach(async () => {
    for (const app of started.splice(0)) await app.close();
    for (const dataSource of dataSources.splice(0)) if (dataSource.isInitialized) await dataSource.destroy();
  });

  return {
    start: async (root, logger = SILENT) => {
      @Module({})
      class AppModule {}
      const app = await NestFactory.createApplicationContext(
        { module: AppModule, ...root },
        { logger, abortOnError: false },
      );
      started.push(app);
      return app;
    },
    typeOrm: (url, name = 'default') =>
      TypeOrmModule.forRootAsync({
        name,
        useFactory: () => ({ type: 'postgres', url, retryAttempts: 0 }),
        dataSourceFactory: async (options) => {
          if (options === undefined) throw new TypeError('no options');
          const dataSource = await new DataSource(options).initialize();
          dataSources.push(dataSource);
          return dataSource;
        },
      }),
  };
}
