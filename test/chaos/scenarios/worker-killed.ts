import { setTimeout as delay } from 'node:timers/promises';
import { recorderNow } from '../record.js';
import type { Scenario } from '../scenario.js';

export const workerKilled: Scenario = {
  name: 'worker-killed',
  about: 'one of three workers is killed, again and again, and replaced',
  async fault(arena, form) {
    const times = form.pick(3, 20);
    for (let round = 0; round < times; round++) {
      await arena.living[0]?.kill();
      const since = recorderNow();
      await arena.startWorker();
      await arena.succeeded(50, since);
      await delay(form.pick(300, 1_500));
    }
    arena.notes.push(`${times} workers killed`);
  },
};
