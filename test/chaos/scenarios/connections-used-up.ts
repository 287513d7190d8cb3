import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';
import { recorderNow } from '../record.js';
import type { Scenario } from '../scenario.js';

const TERMINATE = `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
  WHERE datname = current_database() AND application_name LIKE 'awa%'`;

export const connectionsUsedUp: Scenario = {
  name: 'connections-used-up',
  about:
    'the workers lose their connections, and idle ones of others have taken every place (max_connections)',
  async fault(arena, form) {
    const idle: Client[] = [];
    const end = recorderNow() + form.pick(4_000, 20_000);
    let isFull = false;
    try {
      await arena.admin(async (admin) => {
        // Whoever tries to come back meets somebody who is faster.
        while (recorderNow() < end) {
          const client = new Client({ connectionString: arena.directUrl, application_name: 'chaos idler' });
          client.on('error', () => undefined);
          try {
            await client.connect();
            idle.push(client);
          } catch {
            if (!isFull) await admin.query(TERMINATE);
            isFull = true;
            await delay(20);
          }
        }
      });
    } finally {
      await Promise.all(idle.map((client) => client.end().catch(() => undefined)));
    }
    if (!isFull) arena.problems.push('the connections could not be used up');
    arena.notes.push(`${idle.length} idle connections`);
  },
};
