import { ConsoleLogger, Logger } from '@nestjs/common';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';

import { UnknownKinds } from '../../lib/worker/unknown-kinds.js';

let warnings: string[];

beforeEach(() => {
  warnings = [];
  vi.spyOn(Logger.prototype, 'warn').mockImplementation((message: string) => void warnings.push(message));
});

afterEach(() => {
  vi.restoreAllMocks();
  Logger.overrideLogger(new ConsoleLogger());
});

it('lets a kind back off from a second to a minute while its jobs keep coming, however many come at once', () => {
  const clock = { now: 0 };
  const kinds = new UnknownKinds(() => clock.now);
  const most: number[] = [];
  for (let round = 0; round < 10; round++) {
    const delays = Array.from({ length: 200 }, () => kinds.delayMs('a'));
    most.push(Math.max(...delays));
    expect(Math.min(...delays)).toBeGreaterThanOrEqual(Math.min(1_000 * 2 ** round, 60_000) * 0.75);
    expect(Math.max(...delays)).toBeLessThanOrEqual(Math.min(1_000 * 2 ** round, 60_000));
    expect(new Set(delays).size).toBeGreaterThan(100);
    clock.now += Math.max(...delays);
  }
  expect(most.at(-1)).toBeGreaterThan(50_000);
  expect(kinds.delayMs('b')).toBeLessThanOrEqual(1_000);
});

it('begins anew for a kind that was not seen for ten minutes', () => {
  const clock = { now: 0 };
  const kinds = new UnknownKinds(() => clock.now);
  for (let round = 0; round < 6; round++) clock.now += kinds.delayMs('a');
  expect(kinds.delayMs('a')).toBeGreaterThan(10_000);
  clock.now += 600_001;
  expect(kinds.delayMs('a')).toBeLessThanOrEqual(1_000);
});

it('warns once a kind, and again after ten minutes', () => {
  const clock = { now: 0 };
  const kinds = new UnknownKinds(() => clock.now);
  for (let second = 0; second < 1_300; second++) {
    kinds.delayMs('a');
    clock.now += 1_000;
  }
  kinds.delayMs('b');
  expect(warnings.map((warning) => /"(\w)"/.exec(warning)?.[1])).toEqual(['a', 'a', 'a', 'b']);
});
