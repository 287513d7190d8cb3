import { Client } from 'pg';

/** Undefined in a database where nothing has been announced. */
const TABLE = 'public.bench_announced';

/** Says through the database that it is set up: the systems have no common way of their own to be asked that. */
export async function announceInPostgres(url: string): Promise<void> {
  await query(url, `CREATE TABLE IF NOT EXISTS ${TABLE} ()`);
}

export async function isAnnouncedInPostgres(url: string): Promise<boolean> {
  const [row] = await query(url, `SELECT to_regclass('${TABLE}') IS NOT NULL AS announced`);
  return row?.['announced'] === true;
}

async function query(url: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(text)).rows;
  } finally {
    await client.end();
  }
}
