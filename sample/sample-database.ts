import { Client } from 'pg';

/**
 * Gives each sample a database of its own on the development server, so that samples do not see each
 * other's queues. `fresh` drops what an earlier run left. Resolves to the database's URL.
 */
export async function openSampleDatabase(
  serverUrl: string,
  sample: string,
  { fresh }: { readonly fresh: boolean },
): Promise<string> {
  const name = `sample_${sample.replace(/\W/g, '_')}`;
  const client = new Client({ connectionString: serverUrl });
  await client.connect();
  try {
    // FORCE: an application whose supervisor was killed may still be connected.
    if (fresh) await client.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
    const { rowCount } = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [name]);
    if (rowCount === 0) await client.query(`CREATE DATABASE ${name}`);
  } finally {
    await client.end();
  }
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return url.href;
}
