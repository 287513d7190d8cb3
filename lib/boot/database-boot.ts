import { Inject, Injectable, Logger, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import type { ResolvedAwaOptions } from '../options/resolve-options.js';
import { AWA_DATABASE, AWA_OPTIONS } from '../options/tokens.js';
import { AccessDeniedError, BootError, DatabaseUnavailableError } from '../errors/index.js';
import { adoptForeignCluster } from '../migrate/adopt-cluster.js';
import { checkSchemaVersion, runMigrations } from '../migrate/run-migrations.js';
import type { Database } from '../storage/connection/database.js';
import { INSUFFICIENT_PRIVILEGE, sqlState } from '../storage/sql-state.js';
import { isConnectionError } from './is-connection-error.js';
import { registerOwnQueues } from './register-queues.js';

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
      await this.whenReachable(() => this.prepare().catch((error: unknown) => this.refuse(error)));
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
    const { migrate } = this.options;
    const { schema, target } = this.database;
    if (migrate === 'run') {
      const applied = await this.migrate();
      if (applied.length > 0) this.logger.log(`schema "${schema.name}" is now at version ${applied.at(-1)}`);
    } else if (migrate === 'check') await checkSchemaVersion(target, { schema: schema.name });
    // Producers as well: what is enqueued into a foreign schema might look claimed.
    await adoptForeignCluster(this.database);
    await registerOwnQueues(this.database, this.options);
  }

  private async migrate(): Promise<number[]> {
    const { schema, target } = this.database;
    try {
      return await runMigrations(target, { schema: schema.name });
    } catch (error) {
      if (sqlState(error) !== INSUFFICIENT_PRIVILEGE) throw error;
      // Whoever may not even look is told what to be granted; a schema that is up to date needs nobody to migrate it.
      await checkSchemaVersion(target, { schema: schema.name }).catch((refusal: unknown) => {
        if (sqlState(refusal) === INSUFFICIENT_PRIVILEGE) throw refusal;
      });
      throw new BootError(
        [
          `the database role of this process may not bring schema "${schema.name}" up to date (${error instanceof Error ? error.message : 'permission denied'}): run the migrations with the role that owns it, and set the option "migrate" to "check"`,
        ],
        { cause: error },
      );
    }
  }

  /** A refusal for lack of privileges is told with the role that lacks them. */
  private async refuse(error: unknown): Promise<never> {
    const isExplained = error instanceof AccessDeniedError;
    if (!isExplained && sqlState(error) !== INSUFFICIENT_PRIVILEGE) throw error;
    const { pool, schema } = this.database;
    const [row] = await pool.query<{ role: string }>(
      { name: 'current_role', text: 'SELECT current_user::text AS role' },
      [],
    );
    const access = this.options.worker === undefined ? 'producer' : 'runtime';
    throw new AccessDeniedError(schema.ident, access, row?.role, {
      cause: isExplained ? error.cause : error,
    });
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
