import { Client } from 'pg';
import { Ground } from '../../chaos/ground.js';
import type { ReplayDatabase } from '../models.js';

/** A Postgres of the run's own, started when the first replay needs it. */
export class ReplayServer {
  #ground: Ground | undefined;
  readonly #clients: Client[] = [];

  /** A database for one model's replays. */
  async open(name: string): Promise<ReplayDatabase> {
    this.#ground ??= await Ground.prepare({ binDir: process.env['TEST_POSTGRES_BIN'] });
    const { url, ownerUrl } = await this.#ground.createDatabase(`replay_${name}`);
    const owner = await this.#connect(ownerUrl);
    return {
      client: () => this.#connect(url),
      ownerClient: () => this.#connect(ownerUrl),
      query: (sql, params) => owner.query(sql, params === undefined ? undefined : [...params]),
    };
  }

  async stop(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.end().catch(() => undefined)));
    await this.#ground?.stop();
  }

  async #connect(connectionString: string): Promise<Client> {
    const client = new Client({ connectionString });
    // A connection that is cut when the server stops reports it to whoever listens.
    client.on('error', () => undefined);
    await client.connect();
    this.#clients.push(client);
    return client;
  }
}
