import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { describeTrace, explore, SETTLED } from './explorer.js';
import { QuintModel } from './quint-model.js';
import { checkWalks, walk } from './walks.js';

const load = (defect: string, writers: number): Promise<QuintModel> =>
  QuintModel.load(fileURLToPath(new URL('./specs/tiny.qnt', import.meta.url)), 'tiny', {
    DEFECT: defect,
    WRITERS: writers,
  });

describe('the explorer', () => {
  test('finds every state once: with a lock, the writers come one after the other in any order', async () => {
    const exploration = explore(await load('none', 3), { invariants: ['nothing_lost'] });

    // Who has written, in which order (1 + 3 + 6 + 6), and who of the others has read on top of it (3 + 6 + 6).
    expect(exploration).toMatchObject({ states: 31, transitions: 30, depth: 6, counterexample: undefined });
  });

  test('finds a violated invariant with the shortest trace', async () => {
    const model = await load('no_lock', 2);
    const { counterexample } = explore(model, { invariants: ['nothing_lost'] });

    expect(counterexample?.violated).toBe('nothing_lost');
    const steps = describeTrace(model, counterexample?.states ?? []);
    expect(steps).toHaveLength(5);
    expect(steps[1]).toBe('1. Read {"seen":0,"writer":1}');
    expect(steps[4]).toMatch(/^4\. Wrote [12]$/);
  });
});
