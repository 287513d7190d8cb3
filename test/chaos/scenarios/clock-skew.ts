import type { Scenario } from '../scenario.js';

const TEN_MINUTES = 600_000;

export const clockSkew: Scenario = {
  name: 'clock-skew',
  about: 'two of the workers are replaced by ones whose clocks are ten minutes off, one each way',
  burnsNoAttempt: true,
  async fault(arena) {
    for (const clockSkewMs of [TEN_MINUTES, -TEN_MINUTES]) {
      const [oldest] = arena.living;
      await arena.startWorker({ clockSkewMs });
      await oldest?.end();
    }
  },
};
