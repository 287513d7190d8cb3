import type { Scenario } from '../scenario.js';

export const postgresOutage: Scenario = {
  name: 'postgres-outage',
  about: 'Postgres is away for longer than heartbeats may be late',
  burnsNoAttempt: true,
  async fault(arena, form) {
    const awayMs = form.pick(5_000, 30_000);
    await arena.ground.server.restart('immediate', awayMs);
    arena.notes.push(`away for ${awayMs / 1_000} s`);
  },
};
