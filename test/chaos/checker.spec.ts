import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { KindRules } from './chaos-jobs.js';
import { check, type CheckOptions } from './checker.js';
import type { DatabaseFacts, EndedJob } from './database-facts.js';
import { History } from './history.js';
import { type ChaosEvent, Recorder } from './record.js';

const OPTIONS: CheckOptions = { isKept: true, burnsNoAttempt: false };
const COMPLETED: EndedJob = { state: 'completed', lease: 1, attempt: 1 };
const EXACT: Record<string, KindRules> = { plain: { effects: 'exactly-once', isSmooth: true } };

const offer: ChaosEvent = { type: 'offer', tx: 't', kind: 'plain', jobs: ['1'] };
const commit: ChaosEvent = { type: 'commit', tx: 't' };
const rollback: ChaosEvent = { type: 'rollback', tx: 't' };
const start = (lease: number, attempt = lease): ChaosEvent => ({
  type: 'start',
  job: '1',
  lease,
  kind: 'plain',
  attempt,
  maxAttempts: 2,
});
const succeed = (lease: number): ChaosEvent => ({ type: 'outcome', job: '1', lease, outcome: 'completed' });
const whole = [offer, commit, start(1), succeed(1)];

function facts(ended: readonly EndedJob[], effects: readonly number[] = [], leftovers = {}): DatabaseFacts {
  return {
    ended: new Map(ended.length === 0 ? [] : [['1', ended]]),
    effects: new Map(effects.length === 0 ? [] : [['1', effects]]),
    leftovers,
  };
}

describe('the checker', () => {
  let directory: string;
  let history: History;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'chaos-checker-'));
    history = new History(directory);
  });

  afterEach(() => {
    history.close();
    rmSync(directory, { recursive: true });
  });

  function checked(
    events: readonly ChaosEvent[],
    found: DatabaseFacts,
    options: Partial<CheckOptions> = {},
  ): string[] {
    for (const event of events) history.add({ ...event, at: 0 });
    return check(history, found, { ...OPTIONS, ...options });
  }

  it('finds nothing wrong with a job that was committed, run and completed', () => {
    expect(checked(whole, facts([COMPLETED]), { burnsNoAttempt: true })).toEqual([]);
  });

  it('allows an attempt that succeeded too late, before the one that won', () => {
    const late = [offer, commit, start(1), start(2), succeed(2), succeed(1)];
    expect(checked(late, facts([{ ...COMPLETED, lease: 2, attempt: 2 }]))).toEqual([]);
  });

  it.each<[string, string, readonly ChaosEvent[], DatabaseFacts]>([
    ['a lost job', 'was lost', [offer, commit], facts([])],
    ['a job lost after its start', 'was lost', [offer, start(1)], facts([])],
    ['a phantom', 'rolled back', [offer, rollback, start(1), succeed(1)], facts([COMPLETED])],
    ['a stranger', 'nobody has enqueued', [start(1), succeed(1)], facts([COMPLETED])],
    ['two ends', 'ended more than once', whole, facts([COMPLETED, COMPLETED])],
    ['two starts of one attempt', 'started twice', [...whole, start(1)], facts([COMPLETED])],
    ['two outcomes of one attempt', 'two outcomes', [...whole, succeed(1)], facts([COMPLETED])],
    ['a start after the end', 'started again', [...whole, start(2)], facts([COMPLETED])],
    ['a winner that says nothing', 'does not say so', [offer, commit, start(1)], facts([COMPLETED])],
    ['a cancelled job', 'nobody cancels', [offer, commit], facts([{ ...COMPLETED, state: 'cancelled' }])],
    [
      'an early failure',
      'attempts left',
      [offer, commit, start(1)],
      facts([{ ...COMPLETED, state: 'failed' }]),
    ],
    ['an attempt too many', 'attempt too many', [...whole, start(3)], facts([{ ...COMPLETED, lease: 3 }])],
    ['an effect of nobody', 'never started', whole, facts([COMPLETED], [7])],
    ['leftovers', '2 unique keys left behind', whole, facts([COMPLETED], [], { 'unique keys': 2 })],
    ['a job without body', 'lost its body', whole, facts([{ ...COMPLETED, lease: 0 }])],
  ])('finds %s', (_, sentence, events, found) => {
    expect(checked(events, found)).toContainEqual(expect.stringContaining(sentence));
  });

  it('finds half a transaction', () => {
    const two: ChaosEvent = { type: 'offer', tx: 't', kind: 'plain', jobs: ['1', '2'] };
    expect(checked([two, start(1), succeed(1)], facts([COMPLETED]))).toEqual([
      't is a transaction of which 1 of 2 jobs exist',
    ]);
  });

  it('finds a burnt attempt where none may be', () => {
    const twice = [offer, commit, start(1), start(2), succeed(2)];
    const found = facts([{ ...COMPLETED, lease: 2, attempt: 2 }]);
    expect(checked(twice, found, { burnsNoAttempt: true })).toEqual(['1 (plain) needed 2 attempts']);
  });

  const withEffects = (lease: number, effects: readonly number[]) => {
    const starts = Array.from({ length: lease }, (_, index) => start(index + 1));
    const found = facts([{ ...COMPLETED, lease, attempt: lease }], effects);
    return checked([offer, commit, ...starts, succeed(lease)], found, { kinds: EXACT });
  };

  it('finds nothing wrong with one effect, the winner has had', () => {
    expect(withEffects(2, [2])).toEqual([]);
  });

  it.each<[readonly number[], string]>([
    [[], 'without its effect'],
    [[1, 2], 'has 2 effects'],
    [[2, 2], 'has 2 effects'],
    [[1], 'without the effect of its winner'],
  ])('finds effects %j of a kind that has exactly one: %s', (effects, sentence) => {
    expect(withEffects(2, effects)).toContainEqual(expect.stringContaining(sentence));
  });

  it('reads what a process has written, but for a line that its death cut off', () => {
    const recorder = new Recorder(join(directory, 'worker.record'));
    for (const event of whole) recorder.write(event);
    history.read();
    recorder.write(start(2));
    recorder.close();
    history.read();
    expect([...(history.jobs.get('1')?.attempts.keys() ?? [])]).toEqual([1, 2]);
    expect(history.successes).toHaveLength(1);
  });
});
