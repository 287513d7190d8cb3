import { Inject, Injectable, Logger, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import type { ResolvedAwaOptions } from '../options/resolve-options.js';
import { AWA_DATABASE, AWA_OPTIONS } from '../options/tokens.js';
import { DatabaseUnavailableError } from '../errors/index.js';
import { adoptForeignCluster } from '../migrate/adopt-cluster.js';
import { checkSchemaVersion, runMigrations } from '../migrate/run-migrations.js';
import type { Database } from '../storage/connection/database.js';
import { registerQueues } from '../storage/operations/queues.js';
import { isConnectionError } from './is-connection-error.js';

/** Between two attempts to reach the database, in milliseconds. */
const RETRY_INTERVAL_MS = 1_000;

/** Makes the database ready before anything uses it: reachable, of the right version, with the application's queues. */
@Injectable()
export class DatabaseBoot implements OnModuleInit, OnApplicationShutdown {
  private readonly logger = new Logger('Awa');

  constructor(
    @Inject(AWA_DATABASE) private readonly database: Database,
    @Inject(AWA_OPTIONS) private readonly options: ResolvedAwaOptions,
  ) {}

  async onModuleInit(): Promise<void> {
    try {
      await this.whenReachable(() => this.prepare());
    } catch (error) {
      // Boot has failed, and no shutdown hook will run.
      await this.database.close();
      throw error;
    }
  }

  async onApplicationShutdown(): Promise<void> {
    await this.database.close();
  }

  private async prepare(): Promise<void> {
    const { migrate, queues } = this.options;
    const { schema, target } = this.database;
    if (migrate === 'run') {
      const applied = await runMigrations(target, { schema: schema.name });
      if (applied.length > 0) this.logger.log(`schema "${schema.name}" is now at version ${applied.at(-1)}`);
    } else if (migrate === 'check') await checkSchemaVersion(target, { schema: schema.name });
    // Producers as well: what is enqueued into a foreign schema might look claimed.
    await adoptForeignCluster(this.database);
    await registerQueues(this.database.pool, schema, queues);
  }

  private async whenReachable(work: () => Promise<void>): Promise<void> {
    const deadline = performance.now() + this.options.connectRetryMs;
    for (;;) {
      try {
        return await work();
      } catch (error) {
        if (!isConnectionError(error)) throw error;
        const left = deadline - performance.now();
        if (left <= 0) throw new DatabaseUnavailableError('boot', { cause: error });
        this.logger.warn(
          `no database yet (${error instanceof Error ? error.message : String(error)}): trying for another ${Math.ceil(left / 1000)} s`,
        );
        await new Promise((resolve) => setTimeout(resolve, Math.min(RETRY_INTERVAL_MS, left)));
      }
    }
  }
}
