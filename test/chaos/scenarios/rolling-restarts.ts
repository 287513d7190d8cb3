import type { Scenario } from '../scenario.js';

export const rollingRestarts: Scenario = {
  name: 'rolling-restarts',
  about: 'workers are replaced one after the other by SIGTERM, as deployments do',
  workers: 2,
  burnsNoAttempt: true,
  async fault(arena, form) {
    const times = form.pick(5, 50);
    for (let round = 0; round < times; round++) {
      const [oldest] = arena.living;
      await arena.startWorker();
      await oldest?.end();
    }
    arena.notes.push(`${times} restarts`);
  },
};
