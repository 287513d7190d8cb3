import { startPostgres, type StartOptions } from './server.js';

export interface ResolvedDatabase {
  readonly url: string;
  /** Stops what `resolveDatabase` started; does nothing to a server that was there before. */
  stop(): Promise<void>;
}

/**
 * The database to work with: the one `DATABASE_URL` names, in which case nothing is started, else a local
 * server.
 *
 * @example
 * const database = await resolveDatabase();
 * process.env.DATABASE_URL = database.url;
 */
export async function resolveDatabase(options: StartOptions = {}): Promise<ResolvedDatabase> {
  const given = process.env['DATABASE_URL'];
  if (given !== undefined && given !== '') return { url: given, stop: async () => undefined };

  const server = await startPostgres(options);
  return {
    url: server.url,
    stop: async () => {
      if (!server.attached) await server.stop();
    },
  };
}
