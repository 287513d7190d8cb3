import { runMigrations } from 'nestjs-awa';
import { type PostgresServer, type StartOptions, startPostgres } from '../postgres/server.js';
import {
  administer,
  createDatabase,
  dropDatabase,
  withDatabase,
  withRole,
} from '../support/database-admin.js';
import { EFFECTS_TABLE } from './chaos-jobs.js';

/** Workers and producers are this role: it owns nothing, and has no connections in reserve. */
const ROLE = { name: 'chaos', password: 'chaos' };
const TEMPLATE = 'chaos_template';

/** Few connections, so that they can be used up. What a crash of the server may lose does not depend on fsync. */
const SETTINGS = { fsync: 'off', max_connections: '80', shared_buffers: '64MB' };

/** A database of one scenario. */
export interface GroundDatabase {
  /** For workers and producers. */
  readonly url: string;
  /** For the harness: a superuser, who gets in when nobody else does. */
  readonly ownerUrl: string;
}

/** A Postgres cluster of the run's own, with a database for each scenario. */
export class Ground {
  private constructor(readonly server: PostgresServer) {}

  static async prepare(options: Pick<StartOptions, 'binDir' | 'settings' | 'dataDir'> = {}): Promise<Ground> {
    const settings = { ...SETTINGS, ...options.settings };
    const server = await startPostgres({ ...options, settings, temporary: true });
    try {
      await administer(server.url, async (client) => {
        await client.query(`CREATE ROLE ${ROLE.name} LOGIN PASSWORD '${ROLE.password}'`);
        await createDatabase(client, TEMPLATE, 'template0');
      });
      const url = withDatabase(server.url, TEMPLATE);
      await runMigrations({ url });
      await administer(url, async (client) => {
        await client.query(`SELECT awa.grant_role('${ROLE.name}', 'runtime')`);
        await client.query(`${EFFECTS_TABLE}; GRANT SELECT, INSERT ON public.chaos_effects TO ${ROLE.name}`);
      });
      return new Ground(server);
    } catch (error) {
      await server.stop('immediate');
      throw error;
    }
  }

  async createDatabase(name: string): Promise<GroundDatabase> {
    await administer(this.server.url, (client) => createDatabase(client, name, TEMPLATE));
    const ownerUrl = withDatabase(this.server.url, name);
    return { url: withRole(ownerUrl, ROLE), ownerUrl };
  }

  async dropDatabase(name: string): Promise<void> {
    await administer(this.server.url, (client) => dropDatabase(client, name));
  }

  async stop(): Promise<void> {
    await this.server.stop('immediate');
  }
}
