import { expect, it } from 'vitest';

import { TokenBucket } from '../../lib/worker/token-bucket.js';

/** A bucket on a clock of the test's own. */
function bucket(max: number, perMs: number, burst: number) {
  const clock = { now: 5_000 };
  return { clock, tokens: new TokenBucket({ max, perMs, burst }, () => clock.now) };
}

it('is full at first, and fills evenly up to the burst', () => {
  const { clock, tokens } = bucket(10, 1_000, 3);
  expect(tokens.available).toBe(3);
  tokens.take(3);
  expect(tokens.available).toBe(0);
  clock.now += 99;
  expect(tokens.available).toBe(0);
  clock.now += 1;
  expect(tokens.available).toBe(1);
  clock.now += 3_600_000;
  expect(tokens.available).toBe(3);
});

it('loses nothing to rounding: many small fillings are as much as one', () => {
  const { clock, tokens } = bucket(7, 1_000, 1_000);
  tokens.take(1_000);
  for (let step = 0; step < 10_000; step++) {
    clock.now += 1;
    expect(tokens.available).toBeLessThanOrEqual((step + 1) * 0.007 + 1e-6);
  }
  expect(tokens.available).toBe(70);
});

it('takes unused tokens back, and never holds more than the burst', () => {
  const { tokens } = bucket(1, 60_000, 4);
  tokens.take(4);
  tokens.giveBack(3);
  expect(tokens.available).toBe(3);
  tokens.giveBack(3);
  expect(tokens.available).toBe(4);
});

it('says when the next token comes, and of a fast bucket when there are some', () => {
  const { clock, tokens } = bucket(1, 2_000, 1);
  tokens.take(1);
  expect(tokens.readyInMs(20)).toBe(2_000);
  clock.now += 1_500;
  expect(tokens.readyInMs(20)).toBe(500);

  const fast = bucket(1_000, 1_000, 1_000);
  fast.tokens.take(1_000);
  expect(fast.tokens.readyInMs(20)).toBe(20);
  fast.clock.now += 20;
  expect(fast.tokens.readyInMs(20)).toBe(0);
  expect(fast.tokens.available).toBe(20);
});

it.each([
  [10, 1_000, 1],
  [10, 1_000, 10],
  [3, 50, 7],
])('lets through at most max + burst in any perMs (%i in %i ms, burst %i)', (max, perMs, burst) => {
  const { clock, tokens } = bucket(max, perMs, burst);
  const taken: number[] = [];
  for (let step = 0; step < 20_000; step++) {
    clock.now += (step * 7) % 5;
    const now = tokens.available;
    tokens.take(now);
    for (let token = 0; token < now; token++) taken.push(clock.now);
  }
  let most = 0;
  for (let first = 0, last = 0; last < taken.length; last++) {
    while ((taken[last] ?? 0) - (taken[first] ?? 0) >= perMs) first++;
    most = Math.max(most, last - first + 1);
  }
  expect(most).toBeLessThanOrEqual(max + burst);
  // And it does let through what it may.
  expect(taken.length).toBeGreaterThan(((clock.now - 5_000) / perMs) * max * 0.9);
});
