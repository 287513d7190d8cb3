/**
 * Migrates, and prints which versions it was that did so: `migrate.program.js <url> <lock>`.
 *
 * Waits for the advisory lock first, so that whoever holds it can let many processes go at the same time.
 */
import { Client } from 'pg';
import { runMigrations } from '../../lib/migrate/run-migrations.js';

const [url = '', lock] = process.argv.slice(2);

const client = new Client({ connectionString: url, application_name: 'at the start' });
await client.connect();
await client.query('SELECT pg_advisory_lock_shared($1)', [lock]);
await client.end();
process.stdout.write(JSON.stringify(await runMigrations({ url })));
