import { describe, expect, it } from 'vitest';

import { type QueueShare, WeightedSlots } from '../../lib/worker/weighted-slots.js';

function share(name: string, settings: Partial<QueueShare> = {}): QueueShare {
  return { name, maxWorkers: 100, minWorkers: 0, weight: 1, ...settings };
}

/** Starts everything that the slots let, as a claimer with endless work would, and answers what started. */
function fill(slots: WeightedSlots, contending: readonly string[]): Record<string, number> {
  const started: Record<string, number> = {};
  for (const [queue, free] of slots.free(new Set(contending))) {
    if (!contending.includes(queue)) continue;
    started[queue] = free;
    for (let job = 0; job < free; job++) {
      expect(slots.canTake(queue)).toBe(true);
      slots.take(queue);
    }
  }
  return started;
}

describe('a common pool', () => {
  it('is shared out by weight among those that have work', () => {
    const slots = new WeightedSlots(12, [share('a', { weight: 3 }), share('b', { weight: 2 }), share('c')]);
    expect(fill(slots, ['a', 'b', 'c'])).toEqual({ a: 6, b: 4, c: 2 });
    for (const queue of ['a', 'b', 'c']) expect(slots.canTake(queue)).toBe(false);
  });

  it('is all for the one that has work', () => {
    const slots = new WeightedSlots(12, [share('a', { weight: 3 }), share('b')]);
    expect(fill(slots, ['b'])).toEqual({ b: 12 });
  });

  it('comes back to the others as slots are freed, up to their share', () => {
    const slots = new WeightedSlots(12, [share('a', { weight: 3 }), share('b')]);
    fill(slots, ['b']);
    const order: string[] = [];
    for (let freed = 0; freed < 12; freed++) {
      slots.release('b');
      for (const [queue, started] of Object.entries(fill(slots, ['a', 'b']))) {
        for (let job = 0; job < started; job++) order.push(queue);
      }
    }
    expect(order.slice(0, 9)).toEqual(Array.from({ length: 9 }, () => 'a'));
    expect(order.slice(9)).toEqual(['b', 'b', 'b']);
  });

  it('leaves minWorkers to their queues, whoever else has work, and counts them first', () => {
    const slots = new WeightedSlots(10, [share('a', { minWorkers: 2 }), share('b', { minWorkers: 3 })]);
    expect(fill(slots, ['a'])).toEqual({ a: 7 });
    expect([slots.canTake('a'), slots.canTake('b')]).toEqual([false, true]);
    expect(fill(slots, ['a', 'b'])).toEqual({ a: 0, b: 3 });
    slots.release('a');
    expect(fill(slots, ['a', 'b'])).toEqual({ a: 0, b: 1 });
  });

  it('offers a queue that is not known to have work just its own slots', () => {
    const slots = new WeightedSlots(10, [share('a', { minWorkers: 2 }), share('b')]);
    expect(Object.fromEntries(slots.free(new Set(['b'])))).toEqual({ a: 2, b: 8 });
    expect(Object.fromEntries(slots.free(new Set()))).toEqual({ a: 2, b: 0 });
  });

  it('gives what a queue cannot use for its maxWorkers to the others', () => {
    const slots = new WeightedSlots(10, [
      share('a', { weight: 1_000, maxWorkers: 3 }),
      share('b'),
      share('c'),
    ]);
    expect(fill(slots, ['a', 'b', 'c'])).toEqual({ a: 3, b: 4, c: 3 });
  });

  it('counts what is reserved as taken', () => {
    const slots = new WeightedSlots(4, [share('a'), share('b')]);
    slots.reserve('a', 4);
    expect(slots.canTake('b')).toBe(false);
    slots.unreserve('a', 4);
    expect(slots.canTake('b')).toBe(true);
  });

  // With fewer slots than queues, whoever is first in the list or heaviest must not have all of them.
  it.each([1, 2])('goes round by weight when there are just %i slots', (size) => {
    const slots = new WeightedSlots(size, [share('a', { weight: 5 }), share('b', { weight: 2 }), share('c')]);
    const starts = { a: 0, b: 0, c: 0 };
    const running: string[] = [];
    for (let turn = 0; turn < 800; turn++) {
      for (const [queue, started] of Object.entries(fill(slots, ['a', 'b', 'c']))) {
        starts[queue as keyof typeof starts] += started;
        for (let job = 0; job < started; job++) running.push(queue);
      }
      slots.release(running.shift() ?? '');
    }
    expect(starts.c).toBeGreaterThan(50);
    expect(starts.b).toBeGreaterThan(starts.c);
    expect(starts.a).toBeGreaterThan(starts.b);
  });

  it('does not save turns up for a queue that had no work', () => {
    const slots = new WeightedSlots(1, [share('a'), share('b')]);
    for (let turn = 0; turn < 100; turn++) {
      expect(fill(slots, ['a'])).toEqual({ a: 1 });
      slots.release('a');
    }
    let b = 0;
    for (let turn = 0; turn < 20; turn++) {
      const started = fill(slots, ['a', 'b']);
      b += started['b'] ?? 0;
      slots.release(started['b'] === 1 ? 'b' : 'a');
    }
    expect(b).toBeGreaterThanOrEqual(9);
    expect(b).toBeLessThanOrEqual(11);
  });

  it('never has more taken than there are, whatever comes and goes', () => {
    const queues = [
      share('a', { minWorkers: 1, weight: 3 }),
      share('b', { maxWorkers: 4 }),
      share('c', { minWorkers: 2 }),
    ];
    const slots = new WeightedSlots(9, queues);
    const running: string[] = [];
    let seed = 1;
    const random = (below: number) => (seed = (seed * 48_271) % 2_147_483_647) % below;
    for (let turn = 0; turn < 2_000; turn++) {
      const contending = queues.map(({ name }) => name).filter(() => random(3) > 0);
      for (const [queue, started] of Object.entries(fill(slots, contending))) {
        for (let job = 0; job < started; job++) running.push(queue);
      }
      expect(running.length).toBeLessThanOrEqual(9);
      expect(running.filter((queue) => queue === 'b').length).toBeLessThanOrEqual(4);
      // Its own slots are there for a queue that comes now.
      const free = slots.free(new Set(['c']));
      expect((free.get('c') ?? 0) + running.filter((queue) => queue === 'c').length).toBeGreaterThanOrEqual(
        2,
      );
      for (let ended = random(4); ended > 0 && running.length > 0; ended--) {
        slots.release(running.splice(random(running.length), 1)[0] ?? '');
      }
    }
  });
});
