import { setTimeout as delay } from 'node:timers/promises';
import { STALE_MS } from '../arena.js';
import type { Scenario } from '../scenario.js';

export const workerStopped: Scenario = {
  name: 'worker-stopped',
  about: 'a worker stands still (SIGSTOP) until its attempts are taken over, and goes on (SIGCONT)',
  async fault(arena, form) {
    const times = form.pick(1, 5);
    for (let round = 0; round < times; round++) {
      const worker = arena.living[round % arena.living.length];
      if (worker === undefined) return;
      worker.signal('SIGSTOP');
      await delay(STALE_MS + 2_500);
      worker.signal('SIGCONT');
      await delay(500);
    }
    arena.notes.push(`${times} × ${STALE_MS + 2_500} ms`);
  },
};
