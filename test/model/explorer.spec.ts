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

  test('tells a witness that no state has', async () => {
    const model = await load('no_lock', 2);
    const checks = { invariants: [], witnesses: ['everybody_wrote', 'three_wrote'] };

    expect(explore(model, checks).unreached).toEqual(['three_wrote']);
  });

  test('finds a state from which the model does not settle in time', async () => {
    const model = await load('none', 2);

    expect(explore(model, { invariants: [], settleSteps: 4 }).counterexample).toBeUndefined();
    expect(explore(model, { invariants: [], settleSteps: 3 }).counterexample).toMatchObject({
      violated: SETTLED,
      // The initial state, and the steps of `settle` from there.
      states: { length: 4 },
    });
  });

  test('finds a state in which the model is stuck', async () => {
    const { counterexample } = explore(await load('lock_kept', 2), { invariants: [], settleSteps: 4 });

    // One of the two has written, and the lock is still there.
    expect(counterexample).toMatchObject({ violated: SETTLED, states: { length: 3 } });
  });

  test('gives up when there are too many states', async () => {
    const model = await load('none', 3);

    expect(() => explore(model, { invariants: [] }, 10)).toThrow('more than 10 states');
  });
});

describe('random walks', () => {
  test('are the same for the same seed, and others for another', async () => {
    const model = await load('none', 5);
    const steps = (seed: number): string[] => describeTrace(model, walk(model, seed, 10));

    expect(steps(1)).toHaveLength(11);
    expect(steps(1)).toEqual(steps(1));
    expect(steps(1)).not.toEqual(steps(2));
  });

  test('find a violated invariant', async () => {
    const model = await load('no_lock', 5);
    const { counterexample } = checkWalks(model, ['nothing_lost'], { walks: 10, steps: 10 });

    expect(counterexample?.violated).toBe('nothing_lost');
    expect(model.holds('nothing_lost', counterexample!.states.at(-1)!)).toBe(false);
    expect(model.holds('nothing_lost', counterexample!.states.at(-2)!)).toBe(true);
  });
});
