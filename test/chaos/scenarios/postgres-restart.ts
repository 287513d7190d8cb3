import { setTimeout as delay } from 'node:timers/promises';
import { recorderNow } from '../record.js';
import type { Scenario } from '../scenario.js';

export const postgresRestart: Scenario = {
  name: 'postgres-restart',
  about: 'Postgres is stopped like in a crash (-m immediate), recovers and goes on',
  burnsNoAttempt: true,
  async fault(arena, form) {
    const times = form.pick(1, 5);
    for (let round = 0; round < times; round++) {
      if (round > 0) await delay(5_000);
      const since = recorderNow();
      await arena.ground.server.restart('immediate');
      arena.notes.push(`away for ${Math.round(recorderNow() - since)} ms`);
    }
  },
};
