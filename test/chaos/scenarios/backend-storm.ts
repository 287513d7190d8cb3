import { setTimeout as delay } from 'node:timers/promises';
import { recorderNow } from '../record.js';
import type { Scenario } from '../scenario.js';

const TERMINATE = `SELECT count(pg_terminate_backend(pid))::int AS killed FROM pg_stat_activity
  WHERE datname = current_database() AND pid <> pg_backend_pid()`;

export const backendStorm: Scenario = {
  name: 'backend-storm',
  about: 'every connection is terminated, several times a second',
  burnsNoAttempt: true,
  async fault(arena, form) {
    const end = recorderNow() + form.pick(3_000, 20_000);
    const killed = await arena.admin(async (client) => {
      let sum = 0;
      while (recorderNow() < end) {
        const { rows } = await client.query<{ killed: number }>(TERMINATE);
        sum += rows[0]?.killed ?? 0;
        await delay(200);
      }
      return sum;
    });
    arena.notes.push(`${killed} backends terminated`);
  },
};
