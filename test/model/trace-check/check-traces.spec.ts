import { tmpdir } from 'node:os';
import { beforeAll, describe, expect, it } from 'vitest';
import type { DatabaseFacts, EndedJob } from '../../chaos/database-facts.js';
import { History } from '../../chaos/history.js';
import type { ChaosEvent } from '../../chaos/record.js';
import { checkTraces } from './check-traces.js';
import { type JobRules, readJobRules } from './job-rules.js';

let rules: JobRules;

beforeAll(async () => {
  rules = await readJobRules();
});

const start = (job: string, lease: number, kind = 'plain'): ChaosEvent => ({
  type: 'start',
  job,
  lease,
  kind,
  attempt: lease,
  maxAttempts: 25,
});
const succeed = (job: string, lease: number): ChaosEvent => ({
  type: 'outcome',
  job,
  lease,
  outcome: 'completed',
});
const factsOf = (ended: Readonly<Record<string, EndedJob>>): DatabaseFacts => ({
  ended: new Map(Object.entries(ended).map(([id, end]) => [id, [end]])),
  effects: new Map(),
  leftovers: {},
});
const COMPLETED: EndedJob = { state: 'completed', lease: 1, attempt: 1 };

/** Recorded a millisecond after the other, or when it says. */
function checked(events: readonly (ChaosEvent & { readonly at?: number })[], facts: DatabaseFacts) {
  const history = new History(tmpdir());
  events.forEach((event, at) => history.add({ at, ...event }));
  return checkTraces(rules, history, facts);
}

describe('the comparison of a history with the model', () => {
  it('finds nothing wrong with what can have happened', () => {
    expect(checked([start('1', 1), succeed('1', 1)], factsOf({ 1: COMPLETED }))).toEqual({
      traces: 1,
      events: 2,
      problems: [],
    });
  });

  it('says what cannot follow, and what cannot have been the end', () => {
    const { problems } = checked(
      [succeed('1', 1), start('2', 1)],
      factsOf({ 1: COMPLETED, 2: { state: 'failed', lease: 1, attempt: 1 } }),
    );
    expect(problems).toEqual([
      'job 1 is no path of the model of attempts: completed/1 cannot follow the enqueue',
      'job 2 is no path of the model of attempts: it cannot have ended as failed/1 (1 attempts) after began/1',
    ]);
  });

  it('takes the events of several processes in the order of their times', () => {
    const late = [
      { ...succeed('1', 1), at: 2 },
      { ...start('1', 1), at: 1 },
    ];
    expect(checked(late, factsOf({ 1: COMPLETED })).problems).toEqual([]);
    const early = [
      { ...succeed('1', 1), at: 1 },
      { ...start('1', 1), at: 2 },
    ];
    expect(checked(early, factsOf({ 1: COMPLETED })).problems).toHaveLength(1);
  });

  it('does not take the word of a handler for what was stored', () => {
    const lives = Array.from({ length: 25 }, (_, at) => [start('1', at + 1), succeed('1', at + 1)]).flat();
    expect(checked(lives, factsOf({ 1: { state: 'failed', lease: 25, attempt: 25 } })).problems).toEqual([]);
  });

  it('names a few of many', () => {
    const ids = ['1', '2', '3', '4', '5'];
    const { problems } = checked(
      ids.map((id) => succeed(id, 1)),
      factsOf({}),
    );
    expect(problems).toHaveLength(4);
    expect(problems[3]).toBe('2 more jobs did what the model of attempts does not do');
  });
});
