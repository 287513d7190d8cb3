import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';
import type { Arena } from '../arena.js';
import { recorderNow } from '../record.js';
import type { Scenario } from '../scenario.js';

/** Takes places side by side, to be faster than the workers. */
const IDLERS = 4;
const TERMINATE_INTERVAL_MS = 500;

const TERMINATE = `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
  WHERE datname = current_database() AND application_name LIKE 'awa%'`;

/** Opens connections and keeps them, for as long as there are any to be had. @returns how often there were none */
async function takePlaces(arena: Arena, idle: Client[], end: number): Promise<number> {
  let refused = 0;
  while (recorderNow() < end) {
    const client = new Client({ connectionString: arena.directUrl, application_name: 'chaos idler' });
    client.on('error', () => undefined);
    try {
      await client.connect();
      idle.push(client);
    } catch {
      refused += 1;
      await delay(10);
    }
  }
  return refused;
}

export const connectionsUsedUp: Scenario = {
  name: 'connections-used-up',
  about: 'the workers lose their connections, and idle ones of others take every place (max_connections)',
  async fault(arena, form) {
    const idle: Client[] = [];
    const end = recorderNow() + form.pick(4_000, 20_000);
    try {
      const taking = Array.from({ length: IDLERS }, () => takePlaces(arena, idle, end));
      await arena.admin(async (admin) => {
        for (; recorderNow() < end; await delay(TERMINATE_INTERVAL_MS)) await admin.query(TERMINATE);
      });
      const refused = await Promise.all(taking);
      if (refused.every((times) => times === 0)) arena.problems.push('the connections could not be used up');
    } finally {
      await Promise.all(idle.map((client) => client.end().catch(() => undefined)));
    }
    arena.notes.push(`${idle.length} idle connections`);
  },
};
