import { setTimeout as delay } from 'node:timers/promises';
import { STALE_MS } from '../arena.js';
import type { Scenario } from '../scenario.js';

export const networkFrozen: Scenario = {
  name: 'network-frozen',
  about:
    'nothing passes between one worker and Postgres, and neither is told, until its attempts are taken over',
  async fault(arena, form) {
    const forMs = form.pick(STALE_MS + 2_000, 40_000);
    const worker = arena.living[0];
    worker?.proxy.freeze();
    await delay(forMs);
    worker?.proxy.thaw();
    arena.notes.push(`for ${forMs / 1_000} s`);
  },
};
